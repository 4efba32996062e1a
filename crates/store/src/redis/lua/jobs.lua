-- A shard's copy of a job: its state, its ledger, its part of the page limit. The registry (registry.lua) leads; a
-- version that grows with each change there keeps late messages from undoing newer ones.

-- Takes wanted records (a set of keys) of one job out of a host's queues; answers them.
local function take_queued(base, host, job, share, wanted, n_wanted)
    local taken = {}
    for _, level in ipairs(levels_of(share)) do
        local list, at, found = list_key(base, host, job, level), 0, {}
        repeat
            local some = redis.call('LRANGE', list, at, at + 99)
            for _, record in ipairs(some) do
                if wanted[string.sub(record, 1, 16)] then
                    found[#found + 1] = record
                end
            end
            at = at + 100
        until #some < 100 or #taken + #found == n_wanted
        for _, record in ipairs(found) do
            redis.call('LREM', list, 1, record)
            taken[#taken + 1] = record
        end
        if #found > 0 and redis.call('EXISTS', list) == 0 then
            drop_level(share, level)
        end
    end
    for field, skip in pairs({ r = 0, w = 5 }) do
        if share[field] > 0 then
            local key = base .. field .. host .. ':' .. job
            for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
                local record = string.sub(member, 1 + skip)
                if wanted[string.sub(record, 1, 16)] then
                    redis.call('ZREM', key, member)
                    share[field] = share[field] - 1
                    taken[#taken + 1] = record
                end
            end
        end
    end
    share.q = share.q - #taken
    return taken
end

-- Ends records that were taken out of a host's queues.
local function end_all(base, job, j, host, records, fate, retry_at)
    for _, record in ipairs(records) do
        keep_ended(base, job, j, host, with_state(record, 0, string.byte(record, 28)), fate, retry_at)
    end
    j.q = j.q - #records
end

-- Keys of a job's URLs that a host has leased.
local function leased_keys(base, host, job)
    local keys = {}
    for token in string.gmatch(redis.call('HGET', base .. 'h' .. host, 'out') or '', '%d+:(%d+:%d+)') do
        local lease = redis.call('HGET', base .. 'l', token)
        local _, of = struct.unpack('>I6I4', lease)
        if int(of) == job then
            keys[string.sub(lease, 15, 30)] = true
        end
    end
    return keys
end

-- Ends queued URLs without a fetch. claim, job, fate, retry_at, keys → how many ended
call('discard', { 'allow-oom' }, function(KEYS, A)
    local base, job = KEYS[1], A[4]
    if not claimed(base, A) then
        return redis.error_reply(FENCED)
    end
    local j = read_job(base, job)
    if not j then
        return 0
    end
    local by_host = {}
    for at = 7, #A do
        local value = redis.call('HGET', seen_key(base, job, n_buckets(j.d), A[at]), A[at])
        if value and tonumber(value) < 0 then
            local host = int(-1 - tonumber(value))
            by_host[host] = by_host[host] or {}
            by_host[host][A[at]] = true
        end
    end
    local n_ended = 0
    for host, wanted in pairs(by_host) do
        for key in pairs(leased_keys(base, host, job)) do
            wanted[key] = nil
        end
        local n_wanted = 0
        for _ in pairs(wanted) do
            n_wanted = n_wanted + 1
        end
        if n_wanted > 0 then
            local share = read_share(redis.call('HGET', base .. 'hj' .. host, job))
            local n_before = share.q + share.l
            local records = take_queued(base, host, job, share, wanted, n_wanted)
            end_all(base, job, j, host, records, tonumber(A[5]), tonumber(A[6]))
            write_share(base, host, job, share)
            note_host(base, host, n_before, share.q + share.l)
            n_ended = n_ended + #records
        end
    end
    if n_ended > 0 then
        write_ledger(j)
    end
    return n_ended
end)

-- Makes the shard's copy, or brings it up to date. job, id, tenant, state, version, attempts, texts
-- → 'ok', or 'open' when a job with something to do should finish
call('install', { 'allow-oom' }, function(KEYS, A)
    local key = KEYS[1] .. 'j' .. A[1]
    local held = redis.call('HMGET', key, 'version', 'q', 'l')
    if held[1] and tonumber(held[1]) >= tonumber(A[5]) then
        return 'ok'
    elseif A[4] == 'F' and num(held[2]) + num(held[3]) > 0 then
        return 'open'
    elseif not held[1] then
        redis.call('HSET', key, 'id', A[2], 'tenant', A[3], 'grant', 0, 'grants', 0, 'd', 0, 'q', 0, 'l', 0, 's', 0,
            'u', 0, 'k', 0, 'f', 0)
        redis.call('SADD', KEYS[1] .. 'jobs', A[1])
    end
    redis.call('HSET', key, 'state', A[4], 'version', A[5], 'attempts', A[6], 'texts', A[7])
    return 'ok'
end)

-- All of the shard's copy. job → fields and values
call('ledger', { 'no-writes' }, function(KEYS, A)
    return redis.call('HGETALL', KEYS[1] .. 'j' .. A[1])
end)

-- Gives back what the shard's part of the page limit does not use. job, number of the last grant, is all void
-- → 'stale' and its number when a newer grant is here, else 'ok' and the pages in use
call('lower', { 'allow-oom' }, function(KEYS, A)
    local j = read_job(KEYS[1], A[1])
    if not j then
        return { 'ok', '0' }
    end
    if num(redis.call('HGET', j.key, 'grants')) > tonumber(A[2]) then
        return { 'stale', redis.call('HGET', j.key, 'grants') }
    end
    local n_used = j.q + j.l + j.s + j.u
    redis.call('HSET', j.key, 'grant', A[3] == '1' and 0 or int(n_used), 'grants', int(tonumber(A[2]) + 1))
    return { 'ok', int(n_used) }
end)

-- Takes the first records of a host's queues, at most `limit`.
local function take_first(base, host, job, share, limit)
    local taken = {}
    while #taken < limit do
        local level = string.match(share.levels, '^%d+')
        if not level then
            break
        end
        local list = list_key(base, host, job, level)
        for _, record in ipairs(redis.call('LPOP', list, limit - #taken)) do
            taken[#taken + 1] = record
        end
        if redis.call('EXISTS', list) == 0 then
            drop_level(share, tonumber(level))
        end
    end
    for field, skip in pairs({ r = 0, w = 5 }) do
        if share[field] > 0 and #taken < limit then
            local popped = redis.call('ZPOPMIN', base .. field .. host .. ':' .. job, limit - #taken)
            for at = 1, #popped, 2 do
                taken[#taken + 1] = string.sub(popped[at], 1 + skip)
                share[field] = share[field] - 1
            end
        end
    end
    share.q = share.q - #taken
    return taken
end

-- Ends queued URLs of a cancelled job. job, cursor, limit → next cursor, how many are left
call('sweep', { 'allow-oom' }, function(KEYS, A)
    local base, job, limit = KEYS[1], A[1], tonumber(A[3])
    local j = read_job(base, job)
    if not j or j.state ~= 'C' or j.q == 0 then
        return { '0', 0 }
    end
    local scan = redis.call('SSCAN', base .. 'a', A[2], 'COUNT', 100)
    for _, host in ipairs(scan[2]) do
        local packed = redis.call('HGET', base .. 'hj' .. host, job)
        local share = read_share(packed)
        if share.q > 0 and limit > 0 then
            local n_before = share.q + share.l
            local records = take_first(base, host, job, share, limit)
            limit = limit - #records
            end_all(base, job, j, host, records, CANCELLED, 0)
            write_share(base, host, job, share)
            note_host(base, host, n_before, share.q + share.l)
        end
    end
    write_ledger(j)
    if j.q > 0 and limit <= 0 then
        return { A[2], j.q }
    end
    return { scan[1], j.q }
end)

-- Puts dead letters back with fresh attempts and no losses. job, now, limit → how many
call('retry', { 'allow-oom' }, function(KEYS, A)
    local base, job, now = KEYS[1], A[1], tonumber(A[2])
    local j = read_job(base, job)
    if not j or is_final(j.state) then
        return 0
    end
    local letters = redis.call('LPOP', base .. 'f' .. job, A[3]) or {}
    for _, letter in ipairs(letters) do
        local fate, _, number = struct.unpack('>BI6I4', letter)
        local host, record = int(number), string.sub(letter, 12)
        local share = read_share(redis.call('HGET', base .. 'hj' .. host, job))
        note_host(base, host, share.q + share.l, 1)
        put_back(base, job, host, share, with_losses(record, 0), now, 0, now)
        write_share(base, host, job, share)
        mark(base, job, j, string.sub(record, 1, 16), int(-1 - number))
        if redis.call('HINCRBY', j.key, 'r:' .. fate, -1) == 0 then
            redis.call('HDEL', j.key, 'r:' .. fate)
        end
    end
    j.f = j.f - #letters
    j.q = j.q + #letters
    write_ledger(j)
    return #letters
end)
