-- Adds to the counters and acknowledges, in one step: a click is counted when, and only when, it leaves the list of
-- its consumer's pending entries. A consumer that was frozen and lost its entries to another finds out here.
-- The newest entry that was counted is written down: a group that somebody destroyed begins again behind it.
-- KEYS: clicks, newest counted entry, then the counters (hashes first, then HyperLogLogs)
-- ARGV: one msgpack array: group, consumer, the entries' ids in ascending order,
--       for each hash its fields, each followed by its increment, for each HyperLogLog its elements
-- Returns nothing if all was counted, else the ids that are still this consumer's: count those alone
local group, consumer, ids, sums, uniques = unpack(cmsgpack.unpack(ARGV[1]))
local first, last, entries = ids[1], ids[#ids], #ids

local mine, still_mine = {}, {}
repeat -- in pages, because the consumer may have other entries in between
  local page = redis.call('XPENDING', KEYS[1], group, first, last, entries, consumer)
  for _, pending in ipairs(page) do mine[pending[1]] = true end
  if #page == entries then first = '(' .. page[entries][1] end
until #page < entries
for _, id in ipairs(ids) do
  if mine[id] then still_mine[#still_mine + 1] = id end
end
if #still_mine < entries then return still_mine end

for nth, added in ipairs(sums) do
  for i = 1, #added, 2 do redis.call('HINCRBY', KEYS[2 + nth], added[i], added[i + 1]) end
end
for nth, seen in ipairs(uniques) do redis.call('PFADD', KEYS[2 + #sums + nth], unpack(seen)) end
local function parts(id) return tonumber(id:match('^%d+')), tonumber(id:match('%d+$')) end
local milliseconds, number = parts(last)
local milliseconds_so_far, number_so_far = parts(redis.call('GET', KEYS[2]) or '0-0')
if milliseconds > milliseconds_so_far or (milliseconds == milliseconds_so_far and number > number_so_far) then
  redis.call('SET', KEYS[2], last)
end
redis.call('XACK', KEYS[1], group, unpack(ids))
return false
