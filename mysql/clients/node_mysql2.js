// node mysql2 against the echo server: node node_mysql2.js PORT [tls]
const assert = require('node:assert');
const mysql = require('mysql2/promise');
const port = Number(process.argv[2]);
const options = { host: '127.0.0.1', port, user: 'root', password: 'secret', database: 'CometQL_v1' };
if (process.argv[3] === 'tls') options.ssl = { rejectUnauthorized: false };

(async () => {
  await assert.rejects(mysql.createConnection({ ...options, password: 'wrong' }), { errno: 1045, sqlState: '28000' });
  const c = await mysql.createConnection(options);
  const [rows] = await c.query('numbers');
  assert.deepEqual(rows.map((r) => ({ ...r })), ['1', '2', '3'].map((n) => ({ n, text: 'Привет 🎉', nothing: null })));
  const [ok] = await c.query('insert x');
  assert.equal(ok.insertId, 85791);
  assert.equal(ok.affectedRows, 1);
  await assert.rejects(c.query('fail'), { errno: 13, sqlState: 'HY000' });
  for (const n of [1, -5, 2 ** 40]) {
    const [[row]] = await c.execute('select ?, ?, ?, ?', [n, 'Привет 🎉', null, Buffer.from('blob')]);
    assert.deepEqual({ ...row }, { p0: String(n), p1: 'Привет 🎉', p2: null, p3: 'blob' });
  }
  await assert.rejects(c.execute('fail ?', [1]), { errno: 3 });
  await c.beginTransaction();
  await c.commit();
  await c.ping();
  await c.changeUser({ user: 'other', password: 'secret' });
  const [[row]] = await c.query('after');
  assert.equal(row.echo, 'after');
  await assert.rejects(c.changeUser({ user: 'other', password: 'wrong' }), { errno: 1045 });
  c.destroy();

  // Many at once: mysql2 queues, the pool does not.
  const pool = mysql.createPool({ ...options, connectionLimit: 4 });
  const all = await Promise.all(Array.from({ length: 100 }, (_, i) => pool.query('q' + i)));
  all.forEach(([[r]], i) => assert.equal(r.echo, 'q' + i));
  await pool.end();
  console.log('node mysql2 ok');
})().catch((e) => { console.error(e); process.exit(1); });
