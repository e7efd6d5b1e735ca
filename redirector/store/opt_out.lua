-- Notes that a clicker opted out, and announces it once.
-- KEYS: who opted out, changes
-- ARGV: clicker, now (Unix ms), kind, most changes kept
-- Returns 1 if that is new
local new = redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if new == 1 then redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', ARGV[3], ARGV[1]) end
return new
