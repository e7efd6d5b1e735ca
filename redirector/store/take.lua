-- Gives a consumer the next entries, if the last that its group was given is the one that it thinks of. A consumer reads
-- ahead, for everybody's clicks speak for or against its own; but it is given only what it knows to be due.
-- KEYS: clicks
-- ARGV: group, consumer, id of the last entry that was given out, most entries
-- Returns the id of the last entry that was given out by now, and the ids that this consumer was given
local group, consumer, after, most = unpack(ARGV)
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err and not groups.err:find('no such key') then return groups end
for _, info in ipairs(groups) do
  local of = {}
  for i = 1, #info, 2 do of[info[i]] = info[i + 1] end
  if of['name'] == group then
    if of['last-delivered-id'] ~= after then return {of['last-delivered-id'], {}} end
    local ids = {}
    local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', most, 'STREAMS', KEYS[1], '>')
    for _, entry in ipairs(reply and reply[1][2] or {}) do ids[#ids + 1] = entry[1] end
    return {ids[#ids] or after, ids}
  end
end
return redis.error_reply('NOGROUP the consumer group is not there')
