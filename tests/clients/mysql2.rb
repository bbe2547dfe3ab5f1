# Ruby mysql2. See README.md.
require 'mysql2'

HOST, PORT, USER, PASSWORD, MODE = ARGV
TEXT = "Grüße 😀 \"quoted\" it's a \\ backslash\nand a line"
$failed = false

def equal(name, got, expected)
  return puts("ok #{name}") if got == expected

  $failed = true
  puts "fail #{name}: got #{got.inspect}, expected #{expected.inspect}"
end

def skip(name, reason)
  puts "skip #{name}: #{reason}"
end

def connect(secret)
  options = { host: HOST, port: PORT.to_i, username: USER, password: secret, database: 'CometQL_v1', encoding: 'utf8mb4' }
  options.update(sslverify: false, ssl_mode: :required) if MODE == 'tls'
  Mysql2::Client.new(options)
end

def code_of
  yield
  nil
rescue Mysql2::Error => e
  e.error_number
end

client = connect(PASSWORD)
rows = ->(sql) { client.query(sql, as: :array).to_a }
equal 'connect', rows['SELECT DATABASE()'], [['CometQL_v1']]
equal 'wrong_password', code_of { connect('wrong') }, 16
client.query("INSERT INTO users_auth (id, hash) VALUES (7, 'rubyKey')")
equal 'keys', rows['SELECT * FROM users_auth WHERE id = 7'], [%w[7 rubyKey]]
escaped = client.escape(TEXT)
client.query("INSERT INTO pipes_settings (name, length) VALUES ('web_ruby', 10)")
client.query("INSERT INTO pipes_messages (name, event, message) VALUES ('web_ruby', 'say', '#{escaped}')")
equal 'channel', rows["SELECT event, message FROM pipes_messages WHERE name = 'web_ruby'"], [['say', TEXT]]
client.query("INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', '#{escaped}')")
equal 'private', rows['SELECT message FROM users_messages WHERE id = 7'], [[TEXT]]
insert = client.prepare('INSERT INTO users_data (id, data) VALUES (?, ?)')
insert.execute(8, TEXT)
insert.close
equal 'prepared_insert', rows['SELECT data FROM users_data WHERE id = 8'], [[TEXT]]
select = client.prepare('SELECT id, data FROM users_data WHERE id = ?')
equal 'prepared_select', select.execute(8, as: :array).to_a, [['8', TEXT]]
select.close
client.query("INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
equal 'rows', rows['SELECT * FROM users_auth WHERE id IN (3, 1, 2)'], [%w[3 c], %w[1 a], %w[2 b]]
equal 'count', rows['SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)'], [['3']]
equal 'unknown_table', code_of { rows['SELECT * FROM nowhere WHERE id = 1'] }, 15
equal 'syntax_error', code_of { rows['SELEKT 1'] }, 3
equal 'ping', client.ping, true
client.query('BEGIN')
client.query("INSERT INTO users_auth (id, hash) VALUES (9, 't')")
client.query('COMMIT')
equal 'transaction', rows['SELECT hash FROM users_auth WHERE id = 9'], [['t']]
skip 'change_user', 'mysql2 has no change of user'
skip 'change_user_wrong', 'mysql2 has no change of user'
exit($failed ? 1 : 0)
