-- Every write of a driver holds only while it runs for this worker at this epoch.
-- The driver and its run, if they are the worker's; with `whole` all of the driver's row.
local function fence(worker, id, epoch, run_id, whole)
  local row
  if whole then
    row = job(id)
  else
    local found = call('HMGET', job_key(id), 'st', 'w', 'e', 'k', 'ri')
    row = found[1] and {st = found[1], w = found[2], e = found[3] or nil, k = found[4], ri = found[5]}
  end
  if not row or row.st ~= 'R' or row.w ~= worker or (row.e or '0') ~= epoch or (run_id and row.ri ~= run_id) then
    return nil
  end
  local run = driven(row)
  if run then
    return row, run
  end
  return nil
end

local function left_mark(worker, epoch, how)
  return worker .. ':' .. epoch .. ':' .. how
end

-- Whether this very request was applied and only its reply was lost.
local function repeated(worker, id, epoch, how)
  local found = call('HMGET', job_key(id), 'e', 'la')
  return (found[1] or '0') == epoch and found[2] == left_mark(worker, epoch, how)
end
