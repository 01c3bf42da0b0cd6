-- Workers, all or one.
-- flags: no-writes
-- parts: base
-- ARGV: now, id ('' all). Answers the time, then their fields.
local found = {NOW_TEXT}
for _, id in ipairs(ARGV[2] ~= '' and {ARGV[2]} or call('SMEMBERS', P .. 'ws')) do
  local row, flat = hash(P .. 'w:' .. id)
  if row then
    flat[#flat + 1] = 'id'
    flat[#flat + 1] = id
    found[#found + 1] = flat
  end
end
return found
