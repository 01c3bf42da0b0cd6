-- Whether a lease has lapsed.
-- flags: no-writes
-- parts: base keys rows
local found = 0
each_cell(nil, nil, nil, function(cell)
  if found == 0 and #call('ZRANGEBYSCORE', P .. 's:R:' .. cell, '-inf', '(' .. NOW_TEXT, 'LIMIT', 0, 1) > 0 then
    found = 1
  end
end)
return found
