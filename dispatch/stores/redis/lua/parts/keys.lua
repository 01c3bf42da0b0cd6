-- A job's row is the hash j:<id>; absent fields have their default. Its fields:
--   st state (P T R C F X), q queue, n name, k kind, l lane, o priority, r run_at, c created, u updated where it is later than c, sa and fi, p payload,
--   w worker, e epoch, sa started, fi finished, sc scheduled, ex expires, f failures, x crashes, cr cancel reason,
--   uk uu uh unique key, until, held until, su successors, b behind, la how the last claim was left, dl its dead letter,
--   as set aside, re result, rs reason, et em eb error, pg pn progress, ap og scope, ek effect key, rp replay of,
--   ri sp run and step, ck cm bl concurrency key, its maximum, blocked, t m d tags, metadata, other options (JSON that only clients read)
-- Indexes of rows, by id unless said otherwise:
--   s:<state>:<cell>     rows of one kind, queue and name; in state R by the end of their lease
--   t:<state>:<tenant>   rows of one tenant, and n:<tenant> their number by state and cell; nt the sum over all tenants
--   z:<state>            ended rows by the time of their end
--   h:<worker>           a hash of the rows that run in a worker's name, see `held_as`; hc:<worker> those that shall stop
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

-- The due rows of a lane; see place.lua.
local function ready_key(queue, name, lane)
  return P .. 'r:' .. pair(queue, pair(name, lane))
end

-- What h:<worker> holds of a running row: its epoch and, where a completion changes no more than the row and the indexes
-- of its cell, that cell.
local function held_as(row, epoch)
  local odd = row.uk or row.cr or row.dl or row.ap or row.og or row.ck or row.sp or row.re or row.k == 'workflow'
  return epoch .. ':' .. (odd and '' or cell_of(row.k or 'job', row.q, row.n))
end

-- Forgets a lane that has become empty, and its name when it was the last.
local function close_lane(queue, name, lane)
  if call('EXISTS', ready_key(queue, name, lane)) == 0 then
    local lanes = P .. 'l:' .. pair(queue, name)
    call('ZREM', lanes, lane)
    if call('EXISTS', lanes) == 0 then
      call('SREM', P .. 'rn:' .. queue, name)
    end
  end
end
