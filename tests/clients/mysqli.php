<?php
// PHP mysqli. See README.md.
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
require __DIR__ . '/checks.php';
[, $host, $port, $user, $password] = $argv;
$tls = ($argv[5] ?? '') === 'tls';

function connect(string $secret): mysqli
{
    global $host, $port, $user, $tls;
    $link = mysqli_init();
    $flags = $tls ? MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT : 0;
    if ($tls) {
        $link->ssl_set(null, null, null, null, null);
    }
    $link->real_connect($host, $user, $secret, 'CometQL_v1', (int) $port, null, $flags);
    $link->set_charset('utf8mb4');
    return $link;
}

function rows(string $sql): array
{
    global $link;
    $result = $link->query($sql);
    return $result instanceof mysqli_result ? $result->fetch_all() : [];
}

$link = connect($password);
equal('connect', rows('SELECT DATABASE()'), [['CometQL_v1']]);
equal('wrong_password', code_of(fn () => connect('wrong')), 16);
rows("INSERT INTO users_auth (id, hash) VALUES ('7', 'phpKey')");
equal('keys', rows('SELECT * FROM users_auth WHERE id = 7'), [['7', 'phpKey']]);
$escaped = $link->real_escape_string(TEXT);
rows("INSERT INTO pipes_settings (name, length) VALUES ('web_php', 10)");
rows("INSERT INTO pipes_messages (name, event, message) VALUES ('web_php', 'say', '$escaped')");
equal('channel', rows("SELECT event, message FROM pipes_messages WHERE name = 'web_php'"), [['say', TEXT]]);
// Escaping must not change during a session: the status flags of the OK packets above decide about it (Q37).
equal('escaping stays', $link->real_escape_string(TEXT), $escaped);
rows("INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', '$escaped')");
equal('private', rows('SELECT message FROM users_messages WHERE id = 7'), [[TEXT]]);
$insert = $link->prepare('INSERT INTO users_data (id, data) VALUES (?, ?)');
foreach ([8, 9] as $id) {
    $text = TEXT . $id;
    $insert->bind_param('is', $id, $text);
    $insert->execute();
}
$insert->close();
equal('prepared_insert', rows('SELECT data FROM users_data WHERE id IN (8, 9)'), [[TEXT . 8], [TEXT . 9]]);
$select = $link->prepare('SELECT id, data FROM users_data WHERE id = ?');
$id = 8;
$select->bind_param('i', $id);
$select->execute();
equal('prepared_select', $select->get_result()->fetch_all(), [['8', TEXT . 8]]);
$select->close();
rows("INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
equal('rows', rows('SELECT * FROM users_auth WHERE id IN (3, 1, 2)'), [['3', 'c'], ['1', 'a'], ['2', 'b']]);
equal('count', rows('SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)'), [['3']]);
equal('unknown_table', code_of(fn () => rows('SELECT * FROM nowhere WHERE id = 1')), 15);
equal('syntax_error', code_of(fn () => rows('SELEKT 1')), 3);
equal('ping', $link->ping(), true);
$link->begin_transaction();
rows("INSERT INTO users_auth (id, hash) VALUES (9, 't')");
$link->commit();
equal('transaction', rows('SELECT hash FROM users_auth WHERE id = 9'), [['t']]);
equal('change_user', $link->change_user($user, $password, 'CometQL_v1'), true);
equal('change_user_wrong', code_of(fn () => $link->change_user($user, 'wrong', 'CometQL_v1')), 16);
done();
