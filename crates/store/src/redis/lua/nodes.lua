-- The list of nodes, under a hash tag of its own. KEYS[1] is '<prefix>:{nodes}:'. Records expire by themselves.

-- cluster, name, boot, record, ttl in ms → 'ok' and whether it was asked to drain; 'taken'; 'other' and the cluster's name
call('announce', { 'allow-oom' }, function(KEYS, A)
    local base = KEYS[1]
    local cluster = redis.call('GET', base .. 'cluster')
    if cluster and cluster ~= A[1] then
        return { 'other', cluster }
    end
    local boot = redis.call('GET', base .. 'b' .. A[2])
    if boot and boot ~= A[3] then
        return { 'taken', '' }
    end
    if not cluster then
        redis.call('SET', base .. 'cluster', A[1])
    end
    redis.call('SET', base .. 'b' .. A[2], A[3], 'PX', A[5])
    redis.call('SET', base .. 'n' .. A[2], A[4], 'PX', A[5])
    redis.call('SADD', base .. 'all', A[2])
    return { 'ok', redis.call('GET', base .. 'd' .. A[2]) == A[3] and '1' or '0' }
end)

-- name, boot
call('withdraw', { 'allow-oom' }, function(KEYS, A)
    local base = KEYS[1]
    if redis.call('GET', base .. 'b' .. A[1]) == A[2] then
        redis.call('DEL', base .. 'b' .. A[1], base .. 'n' .. A[1], base .. 'd' .. A[1])
        redis.call('SREM', base .. 'all', A[1])
    end
    return 1
end)

-- → the records of the nodes that are there
call('nodes', { 'allow-oom' }, function(KEYS)
    local base, records = KEYS[1], {}
    for _, name in ipairs(redis.call('SMEMBERS', base .. 'all')) do
        local record = redis.call('GET', base .. 'n' .. name)
        if record then
            records[#records + 1] = record
        else
            redis.call('SREM', base .. 'all', name)
        end
    end
    return records
end)

-- name → 1, or 0 when it is not there
call('ask_to_drain', { 'allow-oom' }, function(KEYS, A)
    local boot = redis.call('GET', KEYS[1] .. 'b' .. A[1])
    if not boot then
        return 0
    end
    -- For this run of the node only, and not for ever.
    redis.call('SET', KEYS[1] .. 'd' .. A[1], boot, 'EX', 3600)
    return 1
end)
