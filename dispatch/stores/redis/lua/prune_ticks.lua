-- Deletes old ticks, the oldest first; or counts them.
-- flags: allow-oom
-- parts: base
-- ARGV: now, older than (microseconds), limit, dry.
local old = call('ZRANGEBYSCORE', P .. 'ca', '-inf', '(' .. text(NOW - tonumber(ARGV[2])), 'LIMIT', 0, ARGV[3])
if ARGV[4] ~= '1' then
  for _, member in ipairs(old) do
    local id, time = member:match('^(.*):(%-?%d+)$')
    call('ZREM', P .. 'ca', member)
    call('HDEL', P .. 'ct:' .. id, time)
    call('ZREM', P .. 'co:' .. id, time)
  end
end
return #old
