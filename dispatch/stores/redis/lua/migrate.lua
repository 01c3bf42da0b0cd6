-- Notes the schema of the namespace, never an older one than stands there. Answers what stood there.
-- parts: base
-- ARGV: now, schema.
local before = tonumber(call('GET', P .. 'schema') or '0')
if before < tonumber(ARGV[2]) then
  call('SET', P .. 'schema', ARGV[2])
end
return before
