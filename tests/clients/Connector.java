// MariaDB Connector/J. See README.md.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

public final class Connector {
    private static final String TEXT = "Gr\u00fc\u00dfe \ud83d\ude00 \"quoted\" it's a \\ backslash\nand a line";
    private static boolean failed = false;
    private static String url;
    private static String user;

    private static void equal(String name, Object got, Object expected) {
        if (expected.equals(got)) {
            System.out.println("ok " + name);
        } else {
            failed = true;
            System.out.println("fail " + name + ": got " + got + ", expected " + expected);
        }
    }

    private static Connection connect(String secret) throws SQLException {
        return DriverManager.getConnection(url, user, secret);
    }

    private static String join(ResultSet result) throws SQLException {
        StringBuilder text = new StringBuilder();
        int columns = result.getMetaData().getColumnCount();
        while (result.next()) {
            for (int column = 1; column <= columns; column++) {
                text.append(result.getString(column)).append(column < columns ? "," : ";");
            }
        }
        return text.toString();
    }

    private static String rows(Connection link, String sql) throws SQLException {
        try (Statement statement = link.createStatement()) {
            return statement.execute(sql) ? join(statement.getResultSet()) : "";
        }
    }

    private static void insert(Connection link, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = link.prepareStatement(sql)) {
            for (int at = 0; at < values.length; at++) {
                statement.setObject(at + 1, values[at]);
            }
            statement.executeUpdate();
        }
    }

    private interface Action {
        void run() throws SQLException;
    }

    private static int codeOf(Action action) {
        try {
            action.run();
        } catch (SQLException error) {
            return error.getErrorCode();
        }
        return -1;
    }

    public static void main(String[] args) throws SQLException {
        boolean tls = args.length > 4 && args[4].equals("tls");
        user = args[2];
        url = "jdbc:mariadb://" + args[0] + ":" + args[1] + "/CometQL_v1?useServerPrepStmts=true"
            + (tls ? "&useSsl=true&trustServerCertificate=true" : "");
        Connection link = connect(args[3]);
        equal("connect", rows(link, "SELECT DATABASE()"), "CometQL_v1;");
        equal("wrong_password", codeOf(() -> connect("wrong")), 16);
        texts(link);
        equal("unknown_table", codeOf(() -> rows(link, "SELECT * FROM nowhere WHERE id = 1")), 15);
        equal("syntax_error", codeOf(() -> rows(link, "SELEKT 1")), 3);
        equal("ping", link.isValid(5), true);
        link.setAutoCommit(false);
        rows(link, "INSERT INTO users_auth (id, hash) VALUES (9, 't')");
        link.commit();
        link.setAutoCommit(true);
        equal("transaction", rows(link, "SELECT hash FROM users_auth WHERE id = 9"), "t;");
        System.out.println("skip change_user: JDBC has no change of user");
        System.out.println("skip change_user_wrong: JDBC has no change of user");
        System.exit(failed ? 1 : 0);
    }

    private static void texts(Connection link) throws SQLException {
        insert(link, "INSERT INTO users_auth (id, hash) VALUES (?, ?)", 7, "javaKey");
        equal("keys", rows(link, "SELECT * FROM users_auth WHERE id = 7"), "7,javaKey;");
        rows(link, "INSERT INTO pipes_settings (name, length) VALUES ('web_java', 10)");
        insert(link, "INSERT INTO pipes_messages (name, event, message) VALUES ('web_java', 'say', ?)", TEXT);
        equal("channel", rows(link, "SELECT event, message FROM pipes_messages WHERE name = 'web_java'"), "say," + TEXT + ";");
        insert(link, "INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', ?)", TEXT);
        equal("private", rows(link, "SELECT message FROM users_messages WHERE id = 7"), TEXT + ";");
        insert(link, "INSERT INTO users_data (id, data) VALUES (?, ?)", 8, TEXT);
        equal("prepared_insert", rows(link, "SELECT data FROM users_data WHERE id = 8"), TEXT + ";");
        try (PreparedStatement select = link.prepareStatement("SELECT id, data FROM users_data WHERE id = ?")) {
            select.setInt(1, 8);
            equal("prepared_select", join(select.executeQuery()), "8," + TEXT + ";");
        }
        rows(link, "INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
        equal("rows", rows(link, "SELECT * FROM users_auth WHERE id IN (3, 1, 2)"), "3,c;1,a;2,b;");
        equal("count", rows(link, "SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)"), "3;");
    }
}
