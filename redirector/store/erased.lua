-- Notes that erasures are done, unless they were asked for again meanwhile, with a later moment.
-- KEYS: the erasures that wait
-- ARGV: clicker and moment (Unix ms) of each
-- Returns how many are done
local done = 0
for i = 1, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or -1) == tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
    done = done + 1
  end
end
return done
