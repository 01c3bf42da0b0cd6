-- Repairs: brings back what the room of some keys allows.
-- flags: allow-oom
-- wakes: seldom
-- parts: base keys rows concurrency place ready admit
-- ARGV: now, key to begin behind ('' at the first), limit. Answers how many rows came back and the last key ('' the end).
local keys = call('ZRANGEBYLEX', P .. 'kk', ARGV[2] == '' and '-' or '(' .. ARGV[2], '+', 'LIMIT', 0, ARGV[3])
local count = 0
for _, key in ipairs(keys) do
  count = count + admit(key)
end
joined()
if count > 0 then
  wake()
end
return {count, #keys == tonumber(ARGV[3]) and keys[#keys] or ''}
