-- Leases: given, taken back, ended.

-- The next job first: the tenant served longest ago, of it the job served longest ago.
local function order(turns)
    if #turns < 2 then
        return
    end
    local served = {}
    for _, turn in ipairs(turns) do
        served[turn.tenant] = math.max(served[turn.tenant] or 0, turn.share.turn)
    end
    table.sort(turns, function(a, b)
        if a.tenant ~= b.tenant then
            if served[a.tenant] ~= served[b.tenant] then
                return served[a.tenant] < served[b.tenant]
            end
            return a.tenant < b.tenant
        elseif a.share.turn ~= b.share.turn then
            return a.share.turn < b.share.turn
        end
        return tonumber(a.job) < tonumber(b.job)
    end)
end

-- The host's live jobs, the next first. Also the numbers of jobs that ended and have nothing here any more.
local function turns_of(base, host)
    local packed = redis.call('HGETALL', base .. 'hj' .. host)
    local turns, dead = {}, {}
    for at = 1, #packed, 2 do
        local job, share = packed[at], read_share(packed[at + 1])
        local j = redis.call('HMGET', base .. 'j' .. job, 'state', 'tenant', 'id', 'q', 'l')
        if is_final(j[1]) and share.q == 0 and share.l == 0 then
            dead[#dead + 1] = job
        else
            turns[#turns + 1] =
                { job = job, share = share, state = j[1], tenant = j[2], id = j[3], q = num(j[4]), l = num(j[5]) }
        end
    end
    order(turns)
    return turns, dead
end

local function is_served(turn)
    return turn.state == 'R' and turn.share.q > 0
end

-- Forgets a lease at its host.
local function remove_out(host, token)
    local kept = {}
    for out in string.gmatch(host.out, '[^,]+') do
        if string.match(out, '^%d+:(.*)$') ~= token then
            kept[#kept + 1] = out
        end
    end
    host.out = table.concat(kept, ',')
end

-- Ends or puts back a leased record. `fate` nil puts it back. The caller removes the lease.
local function leave_lease(base, job, host, record, attempts, fate, retry_at, not_before, now)
    local j = read_job(base, job)
    local share = read_share(redis.call('HGET', base .. 'hj' .. host, job))
    local n_before = share.q + share.l
    j.l = j.l - 1
    share.l = share.l - 1
    if not fate and j.state == 'C' then
        fate, retry_at = CANCELLED, 0
    end
    if fate then
        keep_ended(base, job, j, host, with_state(record, 0, attempts), fate, retry_at)
    else
        put_back(base, job, host, share, record, not_before, attempts, now)
        j.q = j.q + 1
    end
    write_ledger(j)
    write_share(base, host, job, share)
    note_host(base, host, n_before, share.q + share.l)
    return fate
end

-- Takes back what expired, at most MAX_MOVED. An expired lease gives its attempt back but counts as a loss.
local function take_back_due(base, number, host, now)
    local n_taken = 0
    for out in string.gmatch(host.out, '[^,]+') do
        local deadline, token = string.match(out, '^(%d+):(.*)$')
        if tonumber(deadline) <= now and n_taken < MAX_MOVED then
            local lease = redis.call('HGET', base .. 'l', token)
            local _, job = struct.unpack('>I6I4', lease)
            local record = string.sub(lease, 15)
            local losses, attempts = losses_of(record) + 1, math.max(0, string.byte(record, 28) - 1)
            local fate = losses >= MAX_LOSSES and LEASE_LOST or nil
            leave_lease(base, int(job), number, with_losses(record, losses), attempts, fate, 0, now, now)
            redis.call('HDEL', base .. 'l', token)
            remove_out(host, token)
            n_taken = n_taken + 1
        end
    end
    return n_taken
end

-- Moves waiting URLs whose time has come into the order of service. Answers when the next one is due.
local function promote(base, number, turn, now)
    local key = base .. 'w' .. number .. ':' .. turn.job
    local due = redis.call('ZRANGEBYSCORE', key, '-inf', int(now), 'WITHSCORES', 'LIMIT', 0, MAX_MOVED)
    for at = 1, #due, 2 do
        local record = string.sub(due[at], 6)
        local row = read_record(record)
        redis.call('ZREM', key, due[at])
        redis.call('ZADD', base .. 'r' .. number .. ':' .. turn.job, int(row.rank), record)
        turn.share.w = turn.share.w - 1
        turn.share.r = turn.share.r + 1
    end
    if #due > 0 then
        write_share(base, number, turn.job, turn.share)
    end
    local next_due = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return next_due[2] and tonumber(next_due[2])
end

-- The first ready record of a job at a host; of a list also its level, and whether it is the last of it.
local function front(base, number, turn)
    local share, back, rank = turn.share, nil, math.huge
    if share.r > 0 then
        local first = redis.call('ZRANGE', base .. 'r' .. number .. ':' .. turn.job, 0, 0, 'WITHSCORES')
        back, rank = first[1], tonumber(first[2])
    end
    local level = string.match(share.levels, '^%d+')
    if level then
        local first = redis.call('LRANGE', list_key(base, number, turn.job, level), 0, 1)
        if read_record(first[1]).rank < rank then
            return first[1], level, not first[2]
        end
    end
    return back
end

-- Takes it out of its queue.
local function pop(base, number, turn)
    local share = turn.share
    local record, level, is_last = front(base, number, turn)
    if level then
        redis.call('LPOP', list_key(base, number, turn.job, level))
        if is_last then
            drop_level(share, tonumber(level))
        end
        share.q = share.q - 1
    elseif record then
        redis.call('ZREM', base .. 'r' .. number .. ':' .. turn.job, record)
        share.r = share.r - 1
        share.q = share.q - 1
    end
    return record
end

-- Leases one record; the caller writes the rows that count it. Adds number, job, tenant and record to the answer.
local function grant(base, m, number, host, turn, record, deadline, A, answer)
    local token = A[1] .. ':' .. int(m.seq)
    record = with_state(record, 0, string.byte(record, 28) + 1)
    redis.call('HSET', base .. 'l', token, struct.pack('>I6I4I4', deadline, tonumber(turn.job), tonumber(number)) .. record)
    host.turns = host.turns + 1
    host.out = (host.out == '' and '' or host.out .. ',') .. int(deadline) .. ':' .. token
    turn.share.turn = host.turns
    turn.share.l = turn.share.l + 1
    turn.q, turn.l, turn.is_changed = turn.q - 1, turn.l + 1, true
    for _, part in ipairs({ int(m.seq), turn.id, turn.tenant, record }) do
        answer[#answer + 1] = part
    end
    m.seq = m.seq + 1
end

-- Leases the next record of the first job that has one. Answers whether it did, and when one will be due.
local function pick(base, m, number, host, turns, deadline, now, A, answer)
    local earliest
    for _, turn in ipairs(turns) do
        if is_served(turn) then
            local next_due = turn.share.w > 0 and promote(base, number, turn, now) or nil
            local record = pop(base, number, turn)
            if record then
                grant(base, m, number, host, turn, record, deadline, A, answer)
                return true
            elseif next_due and next_due < (earliest or math.huge) then
                earliest = next_due
            end
        end
    end
    return false, earliest
end

-- Leases up to `wanted` records, each as if it were asked for alone.
local function pick_all(base, m, number, host, deadline, now, A, wanted)
    local turns, dead = turns_of(base, number)
    if #dead > 0 then
        redis.call('HDEL', base .. 'hj' .. number, unpack(dead))
    end
    local answer = { 'ok' }
    for _ = 1, wanted do
        local is_picked, earliest = pick(base, m, number, host, turns, deadline, now, A, answer)
        if not is_picked then
            if #answer == 1 then
                return earliest and { 'wait', int(earliest) } or { 'empty' }
            end
            break
        end
        order(turns)
    end
    for _, turn in ipairs(turns) do
        if turn.is_changed then
            write_share(base, number, turn.job, turn.share)
            redis.call('HSET', base .. 'j' .. turn.job, 'q', int(turn.q), 'l', int(turn.l))
        end
    end
    redis.call('HSET', base .. 'm', 'seq', int(m.seq))
    return answer
end

-- claim, now, host, deadline, delay, window, leases at once, URLs wanted
-- → 'ok', then per lease number, job, tenant, record; or 'wait' and a time, 'busy', 'empty'
call('lease', { 'allow-oom' }, function(KEYS, A)
    local base, now = KEYS[1], tonumber(A[4])
    local m = claimed(base, A)
    if not m then
        return redis.error_reply(FENCED)
    end
    local number = redis.call('HGET', base .. 'hn', A[5])
    if not number then
        return { 'empty' }
    end
    local host = read_host(base, number, m)
    local n_taken = host.out == '' and 0 or take_back_due(base, number, host, now)
    local _, n_out = string.gsub(host.out, '[^,]+', '')
    local delay, window = tonumber(A[7]), tonumber(A[8])
    local at = not_before(host, m, window, delay)
    local answer
    if at > now then
        answer = { 'wait', int(at) }
    elseif n_out >= tonumber(A[9]) then
        answer = { 'busy' }
    else
        -- With a delay each start moves the gate, so one is all there is.
        local wanted = delay > 0 and 1 or math.min(math.max(tonumber(A[10]), 1), tonumber(A[9]) - n_out)
        answer = pick_all(base, m, number, host, tonumber(A[6]), now, A, wanted)
    end
    if answer[1] == 'ok' then
        start(host, window, delay, now)
    end
    if answer[1] == 'ok' or n_taken > 0 then
        write_host(host, m)
    end
    return answer
end)

-- Ends a lease. claim, now, token, fate or '' to put it back, retry_at (0 or a time + 1), is it worth retrying, time of
-- the next attempt or '' for the usual wait, attempt to give back (0 or 1)
-- → 'stale'; 'ended'; 'queued' and a time
call('settle', { 'allow-oom' }, function(KEYS, A)
    local base, now, token = KEYS[1], tonumber(A[4]), A[5]
    local m = claimed(base, A)
    if not m then
        return redis.error_reply(FENCED)
    end
    local lease = redis.call('HGET', base .. 'l', token)
    if not lease then
        return { 'stale' }
    end
    local _, job, number = struct.unpack('>I6I4I4', lease)
    job, number = int(job), int(number)
    local record = string.sub(lease, 15)
    local attempts = math.max(0, string.byte(record, 28) - tonumber(A[10]))
    local host = read_host(base, number, m)
    local fate, not_before = tonumber(A[6]), tonumber(A[9])
    if fate and A[8] == '1' and attempts < num(redis.call('HGET', base .. 'j' .. job, 'attempts')) then
        fate = nil
        not_before = not_before or math.min(now + math.min(BACKOFF_BASE * 2 ^ math.min(attempts, 20), BACKOFF_MAX), MAX_TIME)
    end
    fate = leave_lease(base, job, number, record, attempts, fate, tonumber(A[7]), not_before, now)
    redis.call('HDEL', base .. 'l', token)
    remove_out(host, token)
    write_host(host, m)
    if fate then
        return { 'ended' }
    end
    return { 'queued', int(not_before) }
end)

-- Prolongs leases that are still somebody's. claim, deadline, tokens → how many were
call('prolong', { 'allow-oom' }, function(KEYS, A)
    local base, deadline = KEYS[1], tonumber(A[4])
    local m = claimed(base, A)
    if not m then
        return redis.error_reply(FENCED)
    end
    local n_held = 0
    for at = 5, #A do
        local token = A[at]
        local lease = redis.call('HGET', base .. 'l', token)
        if lease then
            n_held = n_held + 1
            local old, _, number = struct.unpack('>I6I4I4', lease)
            if old < deadline then
                local host = read_host(base, int(number), m)
                remove_out(host, token)
                host.out = (host.out == '' and '' or host.out .. ',') .. int(deadline) .. ':' .. token
                redis.call('HSET', base .. 'l', token, struct.pack('>I6', deadline) .. string.sub(lease, 7))
                write_host(host, m)
            end
        end
    end
    return n_held
end)
