-- Entries that may fire now, the longest due first.
-- flags: no-writes
-- parts: base
-- ARGV: now, limit. Answers the time, entries, and when the next one is due ('' never).
local entries = {}
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'cd', '-inf', NOW_TEXT, 'LIMIT', 0, ARGV[2])) do
  entries[#entries + 1] = {id, call('HGETALL', P .. 'cr:' .. id)}
end
local after = call('ZRANGE', P .. 'cd', #entries, #entries, 'WITHSCORES')
return {NOW_TEXT, entries, after[2] or ''}
