-- Adds to the counters and acknowledges, in one step: a click is counted when, and only when, it leaves the list of
-- its consumer's pending entries. A consumer that was frozen and lost its entries to another finds out here.
-- The newest entry that was counted is written down: a group that somebody destroyed begins again behind it.
-- KEYS: clicks, newest counted entry, then the counters (hashes first, then HyperLogLogs)
-- ARGV: group, consumer, number of entries, number of hashes, the entries' ids in ascending order,
--       then for each hash: number of fields, and field and increment of each,
--       then for each HyperLogLog: number of elements, and the elements
-- Returns nothing if all was counted, else the ids that are still this consumer's: count those alone
local group, consumer, entries, hashes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local first, last = ARGV[5], ARGV[4 + entries]

local mine, still_mine = {}, {}
repeat -- in pages, because the consumer may have other entries in between
  local page = redis.call('XPENDING', KEYS[1], group, first, last, entries, consumer)
  for _, pending in ipairs(page) do mine[pending[1]] = true end
  if #page == entries then first = '(' .. page[entries][1] end
until #page < entries
for i = 5, 4 + entries do
  if mine[ARGV[i]] then still_mine[#still_mine + 1] = ARGV[i] end
end
if #still_mine < entries then return still_mine end

local at = 5 + entries
for key = 3, #KEYS do
  local size = tonumber(ARGV[at])
  if key - 2 <= hashes then
    for i = at + 1, at + 2 * size, 2 do redis.call('HINCRBY', KEYS[key], ARGV[i], ARGV[i + 1]) end
    at = at + 1 + 2 * size
  else
    redis.call('PFADD', KEYS[key], unpack(ARGV, at + 1, at + size))
    at = at + 1 + size
  end
end
local newest, so_far = ARGV[4 + entries], redis.call('GET', KEYS[2])
local function parts(id) return tonumber(id:match('^%d+')), tonumber(id:match('%d+$')) end
local milliseconds, number = parts(newest)
local milliseconds_so_far, number_so_far = parts(so_far or '0-0')
if milliseconds > milliseconds_so_far or (milliseconds == milliseconds_so_far and number > number_so_far) then
  redis.call('SET', KEYS[2], newest)
end
redis.call('XACK', KEYS[1], group, unpack(ARGV, 5, 4 + entries))
return false
