-- Ends the oldest opt-outs, and announces each.
-- KEYS: who opted out, changes
-- ARGV: those from before this moment (Unix ms), at most so many, kind, most changes kept
-- Returns how many were ended
local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, clicker in ipairs(ended) do
  redis.call('ZREM', KEYS[1], clicker)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', ARGV[3], clicker)
end
return #ended
