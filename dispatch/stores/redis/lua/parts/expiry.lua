-- Who holds a unique key when somebody else wants it: not who has expired before its first start.
-- Whether a row waits although it has expired (a run that compensates does not wait), and who is behind it.
local function is_overdue(id)
  local state, started, expires, successors, kind, run_id = unpack(
    call('HMGET', job_key(id), 'st', 'sa', 'ex', 'su', 'k', 'ri'))
  if (state ~= 'P' and state ~= 'T') or started or not expires or tonumber(expires) >= NOW then
    return false
  end
  local undone = kind == 'workflow' and run_id and call('HGET', run_key(run_id), 'co')
  return not undone, successors and cjson.decode(successors)[1] or nil
end

-- The ids that hold the key only because nobody has noticed that they have expired, one after the other, and who has it
-- once they are gone.
local function overdue_holders(key)
  local found, ids = holder(key), {}
  if not found or (found.held and found.held > NOW) then
    return ids, found and found.id
  end
  local id = found.id
  while id do
    local overdue, follows = is_overdue(id)
    if not overdue then
      break
    end
    ids[#ids + 1] = id
    id = follows
  end
  return ids, id
end

-- Ends a waiting row as a claim would have; the run of a driver, which only compensates now, gives up the key, to who
-- waits behind it. Answers whether it was a job.
local function expire(id)
  local row = job(id)
  local run = driven(row)
  withdraw(id, row)
  if run then
    compensates(id, row, row.ri, run, 'expired')
    hand_over(id, row)
  else
    conclude(id, row, 'X', 'expired')
  end
  return not run
end

-- What a live job holds the key by, once those that have expired are out of the way; nil: none does.
local function live_twin(key)
  if not key then
    return nil
  end
  local overdue = overdue_holders(key)
  for _, id in ipairs(overdue) do
    expire(id)
  end
  local twin = holding(key)
  if not twin or not twin.live then
    return nil
  end
  if #overdue > 0 then -- who is refused for the successor writes nothing more
    admit_left()
    joined()
    settle()
    wake()
  end
  return twin
end
