-- A job's row is the hash j:<id>; absent fields have their default. Its fields:
--   st state (P T R C F X), q queue, n name, k kind, l lane, o priority, r run_at, c created, u updated, p payload,
--   w worker, e epoch, sa started, fi finished, sc scheduled, ex expires, f failures, x crashes, cr cancel reason,
--   uk uu uh unique key, until, held until, su successors, b behind, la how the last claim was left, dl its dead letter,
--   as set aside, re result, rs reason, et em eb error, pg pn progress, ap og scope, ek effect key, rp replay of,
--   ri sp run and step, t m d tags, metadata, other options (JSON that only clients read)
-- Indexes of rows, by id unless said otherwise:
--   s:<state>:<cell>     rows of one kind, queue and name; in state R by the end of their lease
--   t:<state>:<tenant>   rows of one tenant, and n:<tenant> their number by state and cell
--   z:<state>            ended rows by the time of their end
--   h:<worker>           rows that run in a worker's name; hc:<worker> those of them that shall stop
--   tr:<queue, tenant>   rows of one tenant that run in a queue
--   q, c:<queue>         every queue, and the "<kind>:<name>" that it has had
local function cell_of(kind, queue, name)
  return kind .. ':' .. pair(queue, name)
end

local function tenant_of(row)
  local app, org = row.ap or '', row.og or ''
  return (app == '' and org == '') and '' or app .. '/' .. org
end

local function job_key(id)
  return P .. 'j:' .. id
end

local function job(id)
  return hash(P .. 'j:' .. id)
end

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
