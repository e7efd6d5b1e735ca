-- Adds to the counters and acknowledges, in one step: a click is counted when, and only when, it leaves the list of
-- its consumer's pending entries. A consumer that was frozen and lost its entries to another finds out here.
-- What cannot be counted goes to the poison stream with the acknowledgement, and so once.
-- The newest entry that was counted is written down: a group that somebody destroyed begins again behind it.
-- KEYS: clicks, newest counted entry, poison, then the counters (hashes first, then HyperLogLogs)
-- ARGV: one msgpack array: group, consumer, the entries' ids in ascending order,
--       for each hash its fields and their increments, for each HyperLogLog its elements,
--       the ids of entries to set aside, and the reasons
-- Returns nothing if all was done. Else nothing was counted, and it returns
--   the ids that are still this consumer's: count those alone; or
--   the number of a key that does not hold what should be added to
local group, consumer, ids, sums, uniques, poison, reasons = unpack(cmsgpack.unpack(ARGV[1]))
local CLICKS, COUNTED_TO, POISON, FIRST_SUM, FIRST_UNIQUE = 1, 2, 3, 4, 4 + #sums
local KEPT_POISON, KEPT_FIELDS, TOO_MANY = 10000, 100, 2 ^ 53
local MOST_ARGUMENTS = 5000 -- Lua hands on some 8000; a thousand clicks with ten topics each add to 10000 fields

local first, last, entries = ids[1], ids[#ids], #ids
local mine, still_mine = {}, {}
repeat -- in pages, because the consumer may have other entries in between
  local page = redis.call('XPENDING', KEYS[CLICKS], group, first, last, entries, consumer)
  for _, pending in ipairs(page) do mine[pending[1]] = true end
  if #page == entries then first = '(' .. page[entries][1] end
until #page < entries
for _, id in ipairs(ids) do
  if mine[id] then still_mine[#still_mine + 1] = id end
end
if #still_mine < entries then return still_mine end

-- What was done stays done when a later command fails: so all keys are looked at before the first is changed.
local function refusal(answer, nth) -- of this key, or else of the whole store, which is an error
  return (answer.err:find('^WRONGTYPE') or answer.err:find('^INVALIDOBJ')) and nth or answer
end
local function is_sum(text)
  local number = tonumber(text)
  return number and number < TOO_MANY and string.format('%.0f', number) == text
end
if #poison > 0 then
  local kept = redis.pcall('XLEN', KEYS[POISON])
  if type(kept) == 'table' then return refusal(kept, POISON) end
end
for i, added in ipairs(sums) do
  local nth = FIRST_SUM + i - 1
  for first_field = 1, #added[1], MOST_ARGUMENTS do
    local last_field = math.min(first_field + MOST_ARGUMENTS - 1, #added[1])
    local so_far = redis.pcall('HMGET', KEYS[nth], unpack(added[1], first_field, last_field))
    if so_far.err then return refusal(so_far, nth) end
    for _, sum in ipairs(so_far) do
      if sum and not is_sum(sum) then return nth end
    end
  end
end
for i = 1, #uniques do
  local nth = FIRST_UNIQUE + i - 1
  local magic = redis.pcall('GETRANGE', KEYS[nth], 0, 3)
  if type(magic) == 'table' then return refusal(magic, nth) end
  if magic ~= '' and magic ~= 'HYLL' then return nth end
end

-- HyperLogLogs come first. One that is damaged inside shows it only here; and those before it may be told again.
for i, seen in ipairs(uniques) do
  local nth = FIRST_UNIQUE + i - 1
  local answer = redis.pcall('PFADD', KEYS[nth], unpack(seen))
  if type(answer) == 'table' then return refusal(answer, nth) end
end
for i, id in ipairs(poison) do
  for _, entry in ipairs(redis.call('XRANGE', KEYS[CLICKS], id, id)) do -- none, if it was deleted
    local fields = {unpack(entry[2], 1, math.min(#entry[2], 2 * KEPT_FIELDS))}
    for _, word in ipairs({'poison_id', id, 'poison_reason', reasons[i]}) do fields[#fields + 1] = word end
    redis.call('XADD', KEYS[POISON], 'MAXLEN', '~', KEPT_POISON, '*', unpack(fields))
  end
end
for i, added in ipairs(sums) do
  local names, increments = added[1], added[2]
  for n, name in ipairs(names) do redis.call('HINCRBY', KEYS[FIRST_SUM + i - 1], name, increments[n]) end
end
local function parts(id) return tonumber(id:match('^(%d+)-%d+$')), tonumber(id:match('^%d+-(%d+)$')) end
local milliseconds, number = parts(last)
local so_far = redis.pcall('GET', KEYS[COUNTED_TO]) -- if it is no entry's id, it is one again from now on
local milliseconds_so_far, number_so_far = parts(type(so_far) == 'string' and so_far or '0-0')
if not milliseconds_so_far or milliseconds > milliseconds_so_far
  or (milliseconds == milliseconds_so_far and number > number_so_far) then
  redis.call('SET', KEYS[COUNTED_TO], last)
end
redis.call('XACK', KEYS[CLICKS], group, unpack(ids))
return false
