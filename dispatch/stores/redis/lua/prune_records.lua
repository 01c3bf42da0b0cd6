-- Deletes expired records; or counts them.
-- flags: allow-oom
-- parts: base records
-- ARGV: now, limit, dry.
local old = call('ZRANGEBYSCORE', P .. 'ox', '-inf', NOW_TEXT, 'LIMIT', 0, ARGV[2])
if ARGV[3] ~= '1' then
  for _, member in ipairs(old) do
    local length, rest = member:match('^(%d+):(.*)$')
    forget(rest:sub(1, tonumber(length)), rest:sub(tonumber(length) + 1))
  end
end
return #old
