# Perl DBD::mysql, with statements prepared by the client and by the server. See README.md.
use strict;
use warnings;
use utf8;
use DBI;
binmode STDOUT, ':utf8';

my ($host, $port, $user, $password, $mode) = (@ARGV, 'plain');
my $text = "Grüße 😀 \"quoted\" it's a \\ backslash\nand a line";
my $failed = 0;

sub equal {
    my ($name, $got, $expected) = @_;
    if (defined $got && $got eq $expected) { print "ok $name\n"; return; }
    $failed = 1;
    print "fail $name: got ", $got // 'undef', ", expected $expected\n";
}

sub skip { print "skip $_[0]: $_[1]\n"; }

sub connect_as {
    my ($secret, $server_side) = @_;
    my $tls = $mode eq 'tls' ? ';mysql_ssl=1;mysql_ssl_optional=1' : '';
    my $source = "DBI:mysql:database=CometQL_v1;host=$host;port=$port$tls";
    return DBI->connect($source, $user, $secret, {
        RaiseError => 0, PrintError => 0, mysql_enable_utf8mb4 => 1, mysql_server_prepare => $server_side,
    });
}

my $db = connect_as($password, 0) or do { print "fail connect: $DBI::errstr\n"; exit 1 };

sub table {
    my ($sql, @args) = @_;
    my $rows = $db->selectall_arrayref($sql, undef, @args) or return 'error ' . $db->err;
    return join ';', map { join ',', @$_ } @$rows;
}

sub code_of { my $got = shift; return $got ? 'none' : $DBI::err; }

equal('connect', table('SELECT DATABASE()'), 'CometQL_v1');
connect_as('wrong', 0);
equal('wrong_password', $DBI::err, 16);
$db->do("INSERT INTO users_auth (id, hash) VALUES (?, ?)", undef, 7, 'perlKey');
equal('keys', table('SELECT * FROM users_auth WHERE id = 7'), '7,perlKey');
$db->do("INSERT INTO pipes_settings (name, length) VALUES ('web_perl', 10)");
$db->do("INSERT INTO pipes_messages (name, event, message) VALUES ('web_perl', 'say', " . $db->quote($text) . ")");
equal('channel', table("SELECT event, message FROM pipes_messages WHERE name = 'web_perl'"), "say,$text");
$db->do("INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', ?)", undef, $text);
equal('private', table('SELECT message FROM users_messages WHERE id = 7'), $text);
my $plain = $db;
$db = connect_as($password, 1) or do { print "fail prepared_insert: $DBI::errstr\n"; exit 1 };
$db->do('INSERT INTO users_data (id, data) VALUES (?, ?)', undef, 8, $text);
equal('prepared_insert', table('SELECT data FROM users_data WHERE id = 8'), $text);
equal('prepared_select', table('SELECT id, data FROM users_data WHERE id = ?', 8), "8,$text");
$db = $plain;
$db->do("INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
equal('rows', table('SELECT * FROM users_auth WHERE id IN (3, 1, 2)'), '3,c;1,a;2,b');
equal('count', table('SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)'), '3');
equal('unknown_table', table('SELECT * FROM nowhere WHERE id = 1'), 'error 15');
equal('syntax_error', table('SELEKT 1'), 'error 3');
equal('ping', $db->ping ? 1 : 0, 1);
$db->begin_work;
$db->do("INSERT INTO users_auth (id, hash) VALUES (9, 't')");
$db->commit;
equal('transaction', table('SELECT hash FROM users_auth WHERE id = 9'), 't');
skip('change_user', 'DBD::mysql has no change of user');
skip('change_user_wrong', 'DBD::mysql has no change of user');
exit $failed;
