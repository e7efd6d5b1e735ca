-- Gives a consumer the next entries, if the last that its group was given is the one that it thinks of. A consumer reads
-- ahead, for everybody's clicks speak for or against its own; but it is given only what it knows to be due.
-- Where entries were deleted, so many reach farther than what is due: those behind `up_to` are given back at once.
-- KEYS: clicks
-- ARGV: group, consumer, id of the last entry that was given out, most entries, id of the last that is due, or ''
-- Returns the id of the last entry that was given out by now, and the ids that this consumer was given
local group, consumer, after, most, up_to = unpack(ARGV)
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err and not groups.err:find('no such key') then return groups end
local function as_table(info)
  local of = {}
  for i = 1, #info, 2 do of[info[i]] = info[i + 1] end
  return of
end
local function is_behind(id, other)
  local ms, number = id:match('^(%d+)-(%d+)$')
  local other_ms, other_number = other:match('^(%d+)-(%d+)$')
  if ms ~= other_ms then return tonumber(ms) > tonumber(other_ms) end
  return tonumber(number) > tonumber(other_number)
end
local function give_back_behind(up_to, ids)
  local too_many = {}
  while #ids > 0 and is_behind(ids[#ids], up_to) do too_many[#too_many + 1] = table.remove(ids) end
  if #too_many == 0 then return end
  redis.call('XACK', KEYS[1], group, unpack(too_many))
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local of = as_table(info)
    if of['name'] == group then -- the lag stays known where it is
      local read = of['entries-read'] and {'ENTRIESREAD', of['entries-read'] - #too_many} or {}
      redis.call('XGROUP', 'SETID', KEYS[1], group, ids[#ids] or after, unpack(read))
    end
  end
end
for _, info in ipairs(groups) do
  local of = as_table(info)
  if of['name'] == group then
    if of['last-delivered-id'] ~= after then return {of['last-delivered-id'], {}} end
    local ids = {}
    local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', most, 'STREAMS', KEYS[1], '>')
    for _, entry in ipairs(reply and reply[1][2] or {}) do ids[#ids + 1] = entry[1] end
    if up_to ~= '' then give_back_behind(up_to, ids) end
    return {ids[#ids] or after, ids}
  end
end
return redis.error_reply('NOGROUP the consumer group is not there')
