-- Deletes old events, the oldest first; or counts them.
-- flags: allow-oom
-- parts: base
-- ARGV: now, older than (microseconds), limit, dry.
local old = call('ZRANGEBYSCORE', P .. 'ea', '-inf', '(' .. text(NOW - tonumber(ARGV[2])), 'LIMIT', 0, ARGV[3])
if ARGV[4] ~= '1' then
  for _, id in ipairs(old) do
    call('ZREM', P .. 'ei', id)
    call('ZREM', P .. 'en:' .. (call('HGET', P .. 'e:' .. id, 'n') or ''), id)
    call('ZREM', P .. 'ea', id)
    call('UNLINK', P .. 'e:' .. id)
  end
end
return #old
