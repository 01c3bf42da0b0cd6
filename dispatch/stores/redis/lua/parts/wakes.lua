-- What moves runs from outside: something wakes one, a child of one ends.
local function waiting_row(id)
  local names, row = {'q', 'n', 'r', 'b', 'bl', 'as', 'x', 'l', 'ck', 'o'}, {}
  for i, value in ipairs(call('HMGET', P .. 'j:' .. id, unpack(names))) do
    row[names[i]] = value or nil
  end
  return row
end

-- Raises wake_seq; a parked run is due now. One in error backoff keeps its time.
local function rouse(id, run)
  call('HINCRBY', run_key(id), 'ws', 1)
  call('HSET', run_key(id), 'u', NOW_TEXT)
  local row = run.pk and waiting_row(driver_of(id))
  if row and row.r and tonumber(row.r) > NOW then
    lift(driver_of(id), row)
    row.r = NOW_TEXT
    call('HSET', job_key(driver_of(id)), 'r', NOW_TEXT, 'u', NOW_TEXT)
    place_row(driver_of(id), row)
  end
end

-- Values, each with its length before it, `false` as '-'.
local function pack(values)
  local parts = {}
  for i, value in ipairs(values) do
    parts[i] = value and #value .. ':' .. value or '-'
  end
  return table.concat(parts)
end

-- Notes that a step's child has ended; answers whether a group is satisfied by it.
local function groups_hear(id, run, step, state)
  local satisfied = false
  for number = 1, run.pk and #(run.go or '') or 0 do
    local mode, open = run.go:sub(number, number), P .. 'fo:' .. pair(id, text(number))
    if call('SREM', open, step) == 1 then
      satisfied = satisfied or mode == 'a' or (mode == 'f' and state ~= 'C') or call('EXISTS', open) == 0
    end
  end
  return satisfied
end

-- Writes how a child ended, once, and wakes the parent if that satisfies a group that it parked on.
local function child_ended(parent_id, step, child, state, result, failed)
  local parent = run_of(parent_id)
  if not parent or call('HEXISTS', P .. 'fr:' .. parent_id, step) == 1 then
    return
  end
  local completed = state == 'C'
  local failure = not completed and failed.et and failed
  local said = {
    child, completed and result or false, failure and failure.et or false, failure and (failure.em or '') or false,
    failure and failure.eb or false,
  }
  call('HSET', P .. 'fr:' .. parent_id, step, state .. pack(said))
  if groups_hear(parent_id, parent, step, state) then
    rouse(parent_id, parent)
  else
    call('HINCRBY', run_key(parent_id), 'ws', 1)
  end
end

-- A job that is a step of a run waits or runs (again).
local function join_parent(id, row)
  if row.ri and row.sp then
    call('SADD', P .. 'fg:' .. row.ri, id)
  end
end

-- A job has its terminal state; the run that waits for it as a step hears of it.
local function part_parent(id, row, state)
  if row.ri and row.sp then
    call('SREM', P .. 'fg:' .. row.ri, id)
    child_ended(row.ri, row.sp, id, state, row.re, row)
  end
end
