<?php
// PHP PDO with prepared statements emulated by the client, or by the server (sixth argument `native`). See README.md.
require __DIR__ . '/checks.php';
[, $host, $port, $user, $password, $mode, $flavour] = $argv;

function connect(string $secret): PDO
{
    global $host, $port, $user, $mode, $flavour;
    $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => $flavour !== 'native'];
    if ($mode === 'tls') {
        $options[PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT] = false;
        $options[PDO::MYSQL_ATTR_SSL_CIPHER] = 'HIGH';
    }
    return new PDO("mysql:host=$host;port=$port;dbname=CometQL_v1;charset=utf8mb4", $user, $secret, $options);
}

function rows(string $sql, array $args = []): array
{
    global $pdo;
    $statement = $pdo->prepare($sql);
    $statement->execute($args);
    return $statement->columnCount() > 0 ? $statement->fetchAll(PDO::FETCH_NUM) : [];
}

$pdo = connect($password);
equal('connect', rows('SELECT DATABASE()'), [['CometQL_v1']]);
equal('wrong_password', code_of(fn () => connect('wrong')), 16);
rows('INSERT INTO users_auth (id, hash) VALUES (?, ?)', [7, 'pdoKey']);
equal('keys', rows('SELECT * FROM users_auth WHERE id = 7'), [['7', 'pdoKey']]);
$quoted = $pdo->quote(TEXT);
$pdo->exec("INSERT INTO pipes_settings (name, length) VALUES ('web_pdo', 10)");
$pdo->exec("INSERT INTO pipes_messages (name, event, message) VALUES ('web_pdo', 'say', $quoted)");
equal('channel', rows("SELECT event, message FROM pipes_messages WHERE name = 'web_pdo'"), [['say', TEXT]]);
equal('escaping stays', $pdo->quote(TEXT), $quoted);
$pdo->exec("INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', $quoted)");
equal('private', rows('SELECT message FROM users_messages WHERE id = 7'), [[TEXT]]);
$insert = $pdo->prepare('INSERT INTO users_data (id, data) VALUES (?, ?)');
foreach ([8, 9] as $id) {
    $insert->execute([$id, TEXT . $id]);
}
equal('prepared_insert', rows('SELECT data FROM users_data WHERE id IN (8, 9)'), [[TEXT . 8], [TEXT . 9]]);
equal('prepared_select', rows('SELECT id, data FROM users_data WHERE id = ?', [8]), [['8', TEXT . 8]]);
rows("INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
equal('rows', rows('SELECT * FROM users_auth WHERE id IN (3, 1, 2)'), [['3', 'c'], ['1', 'a'], ['2', 'b']]);
equal('count', rows('SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)'), [['3']]);
equal('unknown_table', code_of(fn () => rows('SELECT * FROM nowhere WHERE id = 1')), 15);
equal('syntax_error', code_of(fn () => rows('SELEKT 1')), 3);
equal('ping', $pdo->getAttribute(PDO::ATTR_SERVER_INFO) !== false, true);
$pdo->beginTransaction();
rows("INSERT INTO users_auth (id, hash) VALUES (9, 't')");
$pdo->commit();
equal('transaction', rows('SELECT hash FROM users_auth WHERE id = 9'), [['t']]);
skip('change_user', 'PDO has no change of user');
skip('change_user_wrong', 'PDO has no change of user');
done();
