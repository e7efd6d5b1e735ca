-- Puts opt-outs back that the store forgot, and announces each; one that is there stays as it is.
-- KEYS: who opted out, changes
-- ARGV: kind, most changes kept, then for each: when (Unix ms), clicker
-- Returns how many were put back
local put = 0
for i = 3, #ARGV, 2 do
  if redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1]) == 1 then
    put = put + 1
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', ARGV[1], ARGV[i + 1])
  end
end
return put
