-- Raises the counter of links to a number that was given out, where the store has forgotten that.
-- KEYS: next_link, changes
-- ARGV: the number, most changes kept
-- Returns 1 if it had
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
-- An empty list of changes could not tell that the store is emptied once more.
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'link', ARGV[1])
return 1
