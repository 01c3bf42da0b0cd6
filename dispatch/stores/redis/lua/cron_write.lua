-- Writes cron entries as they were decided, unless anything about them has changed since they were read.
-- parts: base crons
-- ARGV: now, number of the last change, then acts: "put", id, tenant, name, number of fields, fields; "drop", id, tenant,
-- name; "worker", id; "code", digest (both are forgotten). Answers whether it was done.
if (call('GET', P .. 'cv') or '0') ~= ARGV[2] then
  return 0
end
local at = 3
while at <= #ARGV do
  local act, id = ARGV[at], ARGV[at + 1]
  if act == 'put' then
    local key, number = P .. 'cr:' .. id, tonumber(ARGV[at + 4])
    call('DEL', key)
    call('HSET', key, unpack(ARGV, at + 5, at + 4 + number))
    call('SADD', P .. 'cs', id)
    call('HSET', P .. 'cn', pair(ARGV[at + 2], ARGV[at + 3]), id)
    note_due(id, hash(key))
    at = at + 5 + number
  elseif act == 'drop' then
    call('DEL', P .. 'cr:' .. id)
    call('SREM', P .. 'cs', id)
    call('HDEL', P .. 'cn', pair(ARGV[at + 2], ARGV[at + 3]))
    call('ZREM', P .. 'cd', id)
    forget_ticks(id)
    at = at + 4
  elseif act == 'worker' then
    call('HDEL', P .. 'cw', id)
    at = at + 2
  else
    call('HDEL', P .. 'cc', id)
    at = at + 2
  end
end
call('INCR', P .. 'cv')
wake()
return 1
