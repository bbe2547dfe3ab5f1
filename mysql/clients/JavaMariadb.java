// MariaDB Connector/J against the echo server: java -cp mariadb-java-client.jar JavaMariadb.java PORT [tls]
import java.sql.*;

class JavaMariadb {
    static void same(Object got, Object want) {
        if (!java.util.Objects.equals(got, want)) throw new AssertionError(got + " instead of " + want);
    }

    public static void main(String[] args) throws Exception {
        String url = "jdbc:mariadb://127.0.0.1:" + args[0] + "/CometQL_v1?user=root"
            + (args.length > 1 ? "&useSsl=true&trustServerCertificate=true" : "") + "&password=";
        try (Connection c = DriverManager.getConnection(url + "wrong")) {
            throw new AssertionError("wrong password accepted");
        } catch (SQLException e) {
            same(e.getErrorCode(), 1045);
        }
        for (boolean server : new boolean[] {false, true}) {
            try (Connection c = DriverManager.getConnection(url + "secret&useServerPrepStmts=" + server)) {
                try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("numbers")) {
                    same(r.next(), true);
                    same(r.getInt(1), 1);
                    same(r.getString(2), "Привет 🎉");
                    same(r.getString(3), null);
                }
                try (Statement s = c.createStatement()) {
                    same(s.executeUpdate("insert x", Statement.RETURN_GENERATED_KEYS), 1);
                    ResultSet keys = s.getGeneratedKeys();
                    keys.next();
                    same(keys.getLong(1), 85791L);
                    s.executeQuery("fail");
                    throw new AssertionError("no error");
                } catch (SQLException e) {
                    same(e.getErrorCode(), 13);
                    same(e.getSQLState(), "HY000");
                }
                for (int i = 0; i < 20; i++) {
                    try (PreparedStatement p = c.prepareStatement("select ?, ?, ?, ?")) {
                        p.setInt(1, i);
                        p.setString(2, "Привет 🎉");
                        p.setNull(3, Types.VARCHAR);
                        p.setBytes(4, new byte[] {65, 66});
                        ResultSet r = p.executeQuery();
                        r.next();
                        if (!server) continue;
                        same(r.getString(1), "" + i);
                        same(r.getString(2), "Привет 🎉");
                        same(r.getString(3), null);
                        same(new String(r.getBytes(4)), "AB");
                    }
                }
                c.setAutoCommit(false);
                c.commit();
                same(c.isValid(5), true);
                System.out.println("Java MariaDB Connector ok (server prepare " + server + ")");
            }
        }
    }
}
