-- Reading rows and counting them.
-- Every cell of some queues ('' or nil: all) with one of the names and kinds (nil: any).
local function each_cell(queues, names, kinds, visit)
  for _, queue in ipairs(queues or call('SMEMBERS', P .. 'q')) do
    for _, entry in ipairs(call('SMEMBERS', P .. 'c:' .. queue)) do
      local kind, name = entry:match('^(%l+):(.*)$')
      if (not kinds or kinds[kind]) and (not names or names[name]) then
        visit(cell_of(kind, queue, name), queue, name)
      end
    end
  end
end

local function running_in(queue)
  local count = 0
  each_cell({queue}, nil, nil, function(cell)
    count = count + call('ZCARD', P .. 's:R:' .. cell)
  end)
  return count
end

local function tenant_running(queue, tenant)
  return call('SCARD', P .. 'tr:' .. pair(queue, tenant))
end

-- The row with the end of its lease, as clients read it.
local function shown(id, row, flat)
  if row.st == 'R' then
    local lease = call('ZSCORE', P .. 's:R:' .. cell_of(row.k or 'job', row.q, row.n), id)
    flat[#flat + 1] = 'le'
    flat[#flat + 1] = lease or '0'
  end
  flat[#flat + 1] = 'id'
  flat[#flat + 1] = id
  return flat
end

local function show(id)
  local row, flat = job(id)
  return row and shown(id, row, flat)
end

local function in_scope(row, scoped, app, org)
  return not scoped or ((row.ap or '') == app and (row.og or '') == org)
end
