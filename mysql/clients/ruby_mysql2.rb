# Ruby mysql2 against the echo server: ruby ruby_mysql2.rb PORT [tls]
require 'mysql2'
port = ARGV[0].to_i
options = { host: '127.0.0.1', port: port, username: 'root', password: 'secret', database: 'CometQL_v1', encoding: 'utf8mb4' }
options[:ssl_mode] = :required if ARGV[1] == 'tls'
def same(got, want) = got == want || abort("#{got.inspect} instead of #{want.inspect}")
begin
  Mysql2::Client.new(**options, password: 'wrong')
  abort 'wrong password accepted'
rescue Mysql2::Error => e
  same([e.errno, e.sql_state], [1045, '28000'])
end
c = Mysql2::Client.new(**options)
same(c.query('numbers').map(&:values), %w[1 2 3].map { |n| [n, 'Привет 🎉', nil] })
c.query('insert x')
same([c.last_id, c.affected_rows], [85791, 1])
begin
  c.query('fail')
  abort 'no error'
rescue Mysql2::Error => e
  same([e.errno, e.sql_state], [13, 'HY000'])
end
20.times do |n|
  s = c.prepare('select ?, ?, ?, ?')
  same(s.execute(n, 'Привет 🎉', nil, 1.5).first.values, [n.to_s, 'Привет 🎉', nil, '1.5'])
  s.close
end
same(c.ping, true)
c.close
puts 'Ruby mysql2 ok'
