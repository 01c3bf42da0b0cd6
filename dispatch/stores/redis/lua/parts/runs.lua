-- A run's row is the hash f:<id>; its driver's row holds queue, tags, metadata and input. Its fields:
--   n name, v version, st state (P R W waiting K compensating B blocked C F X), c created, u updated, sa started,
--   fi finished, pa sp parent and step, aw '0' not awaited, ab abandon, ff forked from, ws wake_seq, co compensating,
--   cp compensated, cf compensation failed, pk parked, wk when it wakes, go modes of the groups that it parked on,
--   rs reason, bk why it is blocked, re result, et em eb error, ap og scope
-- What is the run's own:
--   fj:<run>  the journal, STRIDE parts a checkpoint; fn:<run> the place in it by name; fc:<run> events consumed
--   fw:<run>  open waits, "<deadline>|<since>|<JSON>" by name
--   fr:<run>  how its children ended, packed, by step; fo:<run, number> the open steps of a group
--   fk:<run>  runs that it is the parent of, fu:<run> those that have not ended, fg:<run> its jobs that have not
-- Indexes of runs, by id: fs:<state>:<name>, ft:<state>:<tenant>, fz:<state> by the time of their end; fa every name, fi every id;
--   fm:<tenant> how many, by state and name; fv:<channel> the open waits, by run and name
local RUN_FIELDS = {
  'st', 'n', 'c', 'sa', 'fi', 'pa', 'sp', 'aw', 'ab', 'ws', 'co', 'cp', 'cf', 'pk', 'go', 'rs', 'bk', 'et', 'em', 'eb', 'ap',
  'og',
}

local function run_key(id)
  return P .. 'f:' .. id
end

local function driver_of(run_id)
  return 'job_' .. run_id:sub(5)
end

-- The run without its result; nil when there is none.
local function run_of(id)
  local values = call('HMGET', run_key(id), unpack(RUN_FIELDS))
  if not values[1] then
    return nil
  end
  local run = {}
  for i, name in ipairs(RUN_FIELDS) do
    run[name] = values[i] or nil
  end
  return run
end

-- The run that a row drives.
local function driven(row)
  return row.k == 'workflow' and row.ri and run_of(row.ri) or nil
end

local function ended(run)
  return run.st == 'C' or run.st == 'F' or run.st == 'X'
end

-- Its state while it neither runs now, is blocked nor has ended.
local function standing(run)
  if run.co then
    return 'K'
  elseif run.pk then
    return 'W'
  end
  return run.sa and 'R' or 'P'
end

local function count_run(run, by)
  local tenant = tenant_of(run)
  if call('HINCRBY', P .. 'fm:' .. tenant, run.st .. run.n, by) == 0 then
    call('HDEL', P .. 'fm:' .. tenant, run.st .. run.n)
  end
end

-- Enters a run into the indexes of its state, or takes it out of them.
local function index_run(id, run, comes)
  local tenant, over = tenant_of(run), ended(run)
  local keys = {P .. 'fs:' .. run.st .. ':' .. run.n}
  if tenant ~= '' then
    keys[2] = P .. 'ft:' .. run.st .. ':' .. tenant
  end
  for _, key in ipairs(keys) do
    if comes then
      call('ZADD', key, 0, id)
    else
      call('ZREM', key, id)
    end
  end
  if over and comes then
    call('ZADD', P .. 'fz:' .. run.st, run.fi, id)
  elseif over then
    call('ZREM', P .. 'fz:' .. run.st, id)
  end
  if run.pa and not over then
    call(comes and 'SADD' or 'SREM', P .. 'fu:' .. run.pa, id)
  end
  count_run(run, comes and 1 or -1)
end

local function to_run_state(id, run, state)
  if run.st ~= state then
    index_run(id, run, false)
    run.st = state
    index_run(id, run, true)
  end
  call('HSET', run_key(id), 'st', state, 'u', NOW_TEXT)
end

-- It is parked no longer.
local function unpark(id, run)
  if run.pk then
    for number = 1, #(run.go or '') do
      call('DEL', P .. 'fo:' .. pair(id, text(number)))
    end
    call('HDEL', run_key(id), 'pk', 'wk', 'go')
    run.pk, run.go = nil, nil
  end
end

local function note_run_error(id, run, error_type, message, traceback)
  call('HSET', run_key(id), 'et', error_type, 'em', message)
  if traceback then
    call('HSET', run_key(id), 'eb', traceback)
  else
    call('HDEL', run_key(id), 'eb')
  end
  run.et, run.em, run.eb = error_type, message, traceback
end

local function block_run(id, run, reason)
  call('HSET', run_key(id), 'bk', reason)
  to_run_state(id, run, 'B')
end
