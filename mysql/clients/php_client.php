<?php
// PHP mysqli and PDO against the echo server: php php_client.php PORT [tls]
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$port = (int)$argv[1];
$tls = ($argv[2] ?? '') === 'tls';
$text = "Привет 🎉 it's";
function same($got, $want, $what) {
    if ($got !== $want) { fwrite(STDERR, "$what: " . var_export($got, true) . ' instead of ' . var_export($want, true) . "\n"); exit(1); }
}
function fails(callable $do, int $code, string $what) {
    try { $do(); } catch (mysqli_sql_exception $e) { same($e->getCode(), $code, $what); return $e; }
    fwrite(STDERR, "$what: no error\n"); exit(1);
}

fails(fn() => new mysqli('127.0.0.1', 'root', 'wrong', '', $port), 1045, 'wrong password');
$m = mysqli_init();
$m->real_connect('127.0.0.1', 'root', 'secret', 'CometQL_v1', $port, null,
    $tls ? MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT : 0);
$m->set_charset('utf8mb4');
same($m->query('numbers')->fetch_all(), [['1', 'Привет 🎉', null], ['2', 'Привет 🎉', null], ['3', 'Привет 🎉', null]], 'rows');
$m->query('insert x');
same([$m->insert_id, $m->affected_rows], [85791, 1], 'insert');
same($m->info, 'delivered=1 queued=0', 'info');
same(fails(fn() => $m->query('fail'), 13, 'error')->getSqlState(), 'HY000', 'state');
same($m->query("a '" . $m->real_escape_string($text) . "'")->fetch_row()[0], "a 'Привет 🎉 it\\'s'", 'escape');
for ($i = 0; $i < 20; $i++) {
    $s = $m->prepare('select ?, ?, ?, ?, ?');
    $n = $i - 10; $d = 1.5; $null = null; $blob = '';
    $s->bind_param('issdb', $n, $text, $null, $d, $blob);
    $s->send_long_data(4, 'long ');
    $s->send_long_data(4, 'data');
    $s->execute();
    same($s->get_result()->fetch_row(), [(string)$n, $text, null, '1.5', 'long data'], 'prepared');
    $s->close();
}
$s = $m->prepare('insert ?');
$n = 5; $s->bind_param('i', $n); $s->execute(); $s->execute();
same($s->affected_rows, 1, 'prepared insert');
fails(fn() => $m->prepare('fail'), 3, 'prepare error');
$m->begin_transaction(); $m->commit();
same(str_starts_with($m->stat(), 'Uptime'), true, 'stat');
same($m->change_user('other', 'secret', ''), true, 'change user');
same($m->query('after')->fetch_row()[0], 'after', 'after');
fails(fn() => $m->change_user('other', 'wrong', ''), 1045, 'change user wrong');
echo "PHP mysqli ok\n";

foreach ([true, false] as $emulate) {
    $p = new PDO("mysql:host=127.0.0.1;port=$port;dbname=CometQL_v1;charset=utf8mb4", 'root', 'secret',
        [PDO::ATTR_EMULATE_PREPARES => $emulate, PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]
        + ($tls ? [PDO::MYSQL_ATTR_SSL_CA => '/dev/null', PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => false] : []));
    same($p->query('numbers')->fetchAll(PDO::FETCH_NUM)[2], ['3', 'Привет 🎉', null], 'pdo rows');
    $s = $p->prepare('select ?, ?, ?');
    $s->execute([7, $text, null]);
    $want = $emulate ? ["select '7', 'Привет 🎉 it\\'s', NULL"] : ['7', $text, null];
    same($s->fetch(PDO::FETCH_NUM), $want, 'pdo prepared');
    $s->closeCursor();
    $p->beginTransaction();
    same($p->exec('insert x'), 1, 'pdo exec');
    same($p->lastInsertId(), '85791', 'pdo id');
    $p->commit();
    same($p->inTransaction(), false, 'pdo commit');
    try { $p->query('fail'); exit(1); } catch (PDOException $e) { same($e->errorInfo[1], $emulate ? 13 : 3, 'pdo error'); }
    echo 'PHP PDO ok (emulate=' . var_export($emulate, true) . ")\n";
}
