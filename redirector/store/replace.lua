-- Replaces a link or a campaign if nobody else changed it in between, and announces it.
-- KEYS: the hash it lies in, changes, identities
-- ARGV: field, the JSON as it was read, the new JSON, kind, most changes kept, old identity, new identity
-- Returns 1 if it was replaced, 0 if it must be read again, -1 if another link already has the new identity
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[6] ~= ARGV[7] then
  if redis.call('HEXISTS', KEYS[3], ARGV[7]) == 1 then return -1 end
  redis.call('HDEL', KEYS[3], ARGV[6])
  redis.call('HSET', KEYS[3], ARGV[7], ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', ARGV[4], ARGV[1])
return 1
