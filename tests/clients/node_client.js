// node: `mysql` or `mysql2`, named by the sixth argument. See README.md.
'use strict';

const [host, port, user, password, mode, flavour] = process.argv.slice(2);
const driver = require(flavour);
const TEXT = 'Grüße 😀 "quoted" it\'s a \\ backslash\nand a line';
let failed = false;

function equal(name, got, expected) {
  if (JSON.stringify(got) === JSON.stringify(expected)) {
    console.log('ok', name);
  } else {
    failed = true;
    console.log(`fail ${name}: got ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`);
  }
}

function skip(name, reason) {
  console.log(`skip ${name}: ${reason}`);
}

// One call with a node callback as a promise.
function call(object, method, ...args) {
  return new Promise((resolve, reject) => {
    object[method](...args, (error, result) => (error ? reject(error) : resolve(result)));
  });
}

async function codeOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error.errno;
  }
  return null;
}

async function connect(secret) {
  const ssl = mode === 'tls' ? { rejectUnauthorized: false } : undefined;
  const options = { host, port: Number(port), user, password: secret, database: 'CometQL_v1', charset: 'utf8mb4', ssl };
  const link = driver.createConnection(options);
  link.on('error', () => {});
  await call(link, 'connect');
  return link;
}

async function main() {
  const link = await connect(password);
  const rows = async (sql, args = []) => {
    const found = await call(link, 'query', sql, args);
    return Array.isArray(found) ? found.map((row) => Object.values(row)) : [];
  };
  equal('connect', await rows('SELECT DATABASE()'), [['CometQL_v1']]);
  equal('wrong_password', await codeOf(connect('wrong')), 16);
  await rows('INSERT INTO users_auth (id, hash) VALUES (?, ?)', [7, 'nodeKey']);
  equal('keys', await rows('SELECT * FROM users_auth WHERE id = 7'), [['7', 'nodeKey']]);
  await rows("INSERT INTO pipes_settings (name, length) VALUES ('web_node', 10)");
  await rows("INSERT INTO pipes_messages (name, event, message) VALUES ('web_node', 'say', ?)", [TEXT]);
  equal('channel', await rows("SELECT event, message FROM pipes_messages WHERE name = 'web_node'"), [['say', TEXT]]);
  await rows("INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', ?)", [TEXT]);
  equal('private', await rows('SELECT message FROM users_messages WHERE id = 7'), [[TEXT]]);
  if (flavour === 'mysql2') {
    await call(link, 'execute', 'INSERT INTO users_data (id, data) VALUES (?, ?)', [8, TEXT]);
    equal('prepared_insert', await rows('SELECT data FROM users_data WHERE id = 8'), [[TEXT]]);
    const found = await call(link, 'execute', 'SELECT id, data FROM users_data WHERE id = ?', [8]);
    equal('prepared_select', found.map((row) => Object.values(row)), [['8', TEXT]]);
  } else {
    skip('prepared_insert', 'mysql has no prepared statements');
    skip('prepared_select', 'mysql has no prepared statements');
  }
  await rows("INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
  const listed = await rows('SELECT * FROM users_auth WHERE id IN (3, 1, 2)');
  equal('rows', listed, [['3', 'c'], ['1', 'a'], ['2', 'b']]);
  equal('count', await rows('SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)'), [['3']]);
  equal('unknown_table', await codeOf(rows('SELECT * FROM nowhere WHERE id = 1')), 15);
  equal('syntax_error', await codeOf(rows('SELEKT 1')), 3);
  await call(link, 'ping');
  equal('ping', true, true);
  await call(link, 'beginTransaction');
  await rows("INSERT INTO users_auth (id, hash) VALUES (9, 't')");
  await call(link, 'commit');
  equal('transaction', await rows('SELECT hash FROM users_auth WHERE id = 9'), [['t']]);
  await call(link, 'changeUser', { user, password, database: 'CometQL_v1' });
  equal('change_user', await rows('SELECT hash FROM users_auth WHERE id = 9'), [['t']]);
  const wrong = call(link, 'changeUser', { user, password: 'wrong', database: 'CometQL_v1' });
  equal('change_user_wrong', await codeOf(wrong), 16);
  process.exit(failed ? 1 : 0);
}

main().catch((error) => {
  console.log('fail', error);
  process.exit(1);
});
