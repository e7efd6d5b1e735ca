-- Removes consumers from a group: those that have nothing pending, and were not heard of for a while.
-- In one step, because a consumer that is removed with something pending takes it along.
-- KEYS: clicks
-- ARGV: group, for how long in ms
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = {}
  for i = 1, #consumer, 2 do about[consumer[i]] = consumer[i + 1] end
  if about.pending == 0 and about.idle >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about.name)
  end
end
