-- The short way to completed, in front of all that the long one needs: for jobs of which h:<worker> says that nothing but
-- the row and the indexes of its cell changes. A flush of such jobs alone ends here, unless somebody listens to the feed.
local worker, holds, freed = ARGV[2], {}, {}

-- What is known of rows held like this one, or nil when the short way is not open: `found` is what h:<worker> says.
local function hold_of(found, epoch)
  local hold = found and holds[found]
  if found and not hold then
    local held, cell = found:match('^(%d+):(.*)$')
    hold = {epoch = held, cell = cell, listed = {}, ended = {}}
    holds[found] = hold
  end
  return hold and hold.epoch == epoch and hold.cell ~= '' and hold or nil
end

-- Answers false when the row is gone, as on a server that evicts keys: its state was not there before.
local function finish_row(hold, id, result)
  local key, come = P .. 'j:' .. id, nil
  if result then
    come = call('HSET', key, 're', result, 'st', 'C', 'fi', NOW_TEXT) - 1
  else
    come = call('HSET', key, 'st', 'C', 'fi', NOW_TEXT)
  end
  freed[#freed + 1] = id
  if come == 2 then
    call('DEL', key)
    call('ZREM', P .. 's:R:' .. hold.cell, id)
    return false
  end
  local listed, ended, last = hold.listed, hold.ended, #hold.listed
  listed[last + 1], listed[last + 2] = '0', id
  ended[last + 1], ended[last + 2] = NOW_TEXT, id
  hold[#hold + 1] = id
  return true
end

-- Writes the indexes of the rows that were completed in the short way.
local function settle_completed()
  for _, hold in pairs(holds) do
    if #hold > 0 then
      call('ZREM', P .. 's:R:' .. hold.cell, unpack(hold))
      call('ZADD', P .. 's:C:' .. hold.cell, unpack(hold.listed))
      call('ZADD', P .. 'z:C', unpack(hold.ended))
    end
  end
  if #freed > 0 then
    call('HDEL', P .. 'h:' .. worker, unpack(freed))
  end
end

do
  local ids, epochs, results, seen, at = {}, {}, {}, {}, 3
  while ARGV[at + 2] == 'C' or ARGV[at + 2] == 'Cr' do
    local id, number = ARGV[at], #ids + 1
    if seen[id] then
      break
    end
    seen[id], ids[number], epochs[number] = true, id, ARGV[at + 1]
    if ARGV[at + 2] == 'Cr' then
      results[number], at = ARGV[at + 3], at + 4
    else
      at = at + 3
    end
  end
  if at > #ARGV and call('EXISTS', P .. 'yh') == 0 then
    local found, open = call('HMGET', P .. 'h:' .. worker, unpack(ids)), true
    for i = 1, #ids do
      found[i] = hold_of(found[i], epochs[i])
      open = open and found[i]
    end
    if open then
      local answers, missing = {}, false
      for i = 1, #ids do
        local done = finish_row(found[i], ids[i], results[i])
        answers[i], missing = done and 'aC' or 'm', missing or not done
      end
      settle_completed()
      wake()
      return missing and answers or #ids
    end
  end
end
