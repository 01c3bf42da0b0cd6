-- Taking waiting rows out of where they stand, and moving them when they have become due.
-- Notes when the first later row of a name is due.
local function note_next(queue, name)
  local first = call('ZRANGE', P .. 'd:' .. pair(queue, name), 0, 0)[1]
  if first then
    call('ZADD', P .. 'nx:' .. queue, first:sub(2, 18), name)
  else
    call('ZREM', P .. 'nx:' .. queue, name)
  end
end

-- Takes a waiting row out of where it stands.
local function lift(id, row)
  if row.b then
    return
  end
  joined()
  local queue, name = row.q, row.n
  local member = stamp(row.r) .. id
  note_key(row)
  if row.bl then
    forget_block(id, row)
  elseif row.as then
    call('ZREM', P .. 'as:' .. pair(queue, name), member)
    if call('EXISTS', P .. 'as:' .. pair(queue, name)) == 0 then
      call('SREM', P .. 'an:' .. queue, name)
    end
  elseif tonumber(row.x or 0) >= QUARANTINE_FROM then
    call('ZREM', P .. 'qq:' .. queue, member)
  elseif call('ZREM', ready_key(queue, name, row.l or ''), member) == 1 then
    key_unready(id, row)
    close_lane(queue, name, row.l or '')
  elseif call('ZREM', P .. 'd:' .. pair(queue, name), member) == 1 then
    note_next(queue, name)
  end
end

-- Moves at most `budget` rows that have become due into their lanes (names nil: any); answers what is left of it.
local function promote(queue, names, budget)
  local due = NOW_STAMP
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'nx:' .. queue, '-inf', NOW)) do
    if budget <= 0 then
      break
    end
    if not names or names[name] then
      local key, count = P .. 'd:' .. pair(queue, name), 0
      for _, member in ipairs(call('ZRANGE', key, 0, budget - 1)) do
        if member:sub(1, 18) > due then
          break
        end
        count = count + 1
        local id = member:sub(19)
        local row = call('HMGET', job_key(id), 'st', 'l', 'o', 'ck', 'r')
        if row[1] then
          if row[4] then
            key_ready(id, {q = queue, n = name, l = row[2] or '', o = row[3] or '0', ck = row[4], r = row[5]})
          end
          join(queue, name, row[2] or '', tonumber(row[3] or 0), member)
        end
      end
      if count > 0 then
        call('ZREMRANGEBYRANK', key, 0, count - 1)
        budget = budget - count
      end
      note_next(queue, name)
    end
  end
  joined()
  return budget
end
