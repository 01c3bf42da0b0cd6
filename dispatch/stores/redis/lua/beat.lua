-- Notes that a worker lives.
-- flags: allow-oom
-- parts: base
-- ARGV: now, id, running.
local key = P .. 'w:' .. ARGV[2]
local state = call('HGET', key, 'st')
if not state or state == 'dead' then
  return 'missing'
end
call('HSET', key, 'seen', NOW_TEXT, 'u', NOW_TEXT, 'run', ARGV[3])
return 'applied'
