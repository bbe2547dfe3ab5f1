# Perl DBD::mysql against the echo server: perl perl_dbi.pl PORT
use strict; use warnings; use utf8;
use DBI;
binmode STDOUT, ':utf8';
my $port = $ARGV[0];
sub same { my ($got, $want, $what) = @_; $got //= '<undef>'; $want //= '<undef>'; die "$what: $got instead of $want\n" if $got ne $want; }

DBI->connect("dbi:mysql:host=127.0.0.1;port=$port", 'root', 'wrong', { PrintError => 0 });
same(DBI->err, 1045, 'wrong password');
for my $prepare (0, 1) {
    my $db = DBI->connect("dbi:mysql:database=CometQL_v1;host=127.0.0.1;port=$port;mysql_server_prepare=$prepare", 'root', 'secret',
        { RaiseError => 0, PrintError => 0, mysql_enable_utf8mb4 => 1 }) or die DBI->errstr;
    my $rows = $db->selectall_arrayref('numbers');
    same(join('|', map { $_ // 'NULL' } @{$rows->[2]}), '3|Привет 🎉|NULL', 'rows');
    same($db->do('insert x'), 1, 'insert');
    same($db->{mysql_insertid}, 85791, 'id');
    $db->do('fail');
    same($db->err, $prepare ? 3 : 13, 'error') if $prepare == 0;
    same($db->state, 'HY000', 'state') if $prepare == 0;
    my $s = $db->prepare('select ?, ?, ?') or die $db->errstr;
    for my $n (1 .. 20) {
        $s->execute($n, "Привет 🎉 it's", undef) or die $s->errstr;
        my @row = $s->fetchrow_array;
        if ($prepare) { same(join('|', map { $_ // 'NULL' } @row), "$n|Привет 🎉 it's|NULL", 'prepared'); }
        else { same($row[0], "select '$n', 'Привет 🎉 it\\'s', NULL", 'emulated'); }
        $s->finish;
    }
    same($db->ping, 1, 'ping');
    $db->disconnect;
    print "Perl DBD::mysql ok (server prepare $prepare)\n";
}
