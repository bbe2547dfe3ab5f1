import type { CometError } from "./errors.js";
/** Who the page is and where it connects. Everything a link needs; the faces make it from their own options. */
export interface LinkOptions {
    /** Base addresses such as `ws://host:8087` or `wss://host/comet-server`, without `/ws/`. One connection each (protocol.md 9.2). */
    readonly nodes: readonly string[];
    /** Tenant. */
    readonly devId: string;
    /** Empty: anonymous. */
    readonly userId: string;
    /** Hash or token; empty: none. */
    readonly userKey: string;
    /** Identifies the browser, 1 to 32 name characters. */
    readonly uuid: string;
    /** The page chose the uuid, so that only tabs with the same one belong together; not those of the whole browser. */
    readonly chosen: boolean;
    /** Send the statistics command after the first connection. */
    readonly statistics: boolean;
}
/** A message as it arrived: F2 to F8 of protocol.md 2.5.2. */
export interface Incoming {
    /** Channel; `msg` for private messages. */
    readonly pipe: string;
    /** Empty if the sender gave none. */
    readonly event: string;
    /** The JSON value of the body, or its exact text. */
    readonly data: unknown;
    /** Sender, 0 = none or unknown. */
    readonly userId: number;
    /** True for messages of `pipe_log`. */
    readonly history: boolean;
    /** Private message that had waited in the queue. */
    readonly fromQueue: boolean;
    /** Id of the message, if it has one. */
    readonly uuid: string | undefined;
    /** When it was accepted, unix seconds. */
    readonly time: number;
}
/** A command of protocol.md 2.6 but for subscriptions, which `Link.channels` declares. */
export type Command = 
/** `sendKey` (protocol-v5.md 3) is chosen once per message by the tab that sends it. */
{
    readonly kind: "send";
    readonly channel: string;
    readonly anonymous: boolean;
    readonly event: string;
    readonly body: string;
    readonly sendKey: string;
} | {
    readonly kind: "history";
    readonly channel: string;
} | {
    readonly kind: "count";
    readonly channel: string;
} | {
    readonly kind: "users";
    readonly channel: string;
} | {
    readonly kind: "userData";
    readonly user: string;
} | {
    readonly kind: "status";
    readonly user: string;
} | {
    readonly kind: "statistics";
    readonly body: string;
};
/**
 * What came back, by the kind of the command: `data` of the result as the server wrote it (protocol-v5.md 1), for the old
 * face shows it as it is. Whoever made it has looked at the numbers; the rest is the server's word.
 */
export interface Answers {
    readonly send: {
        readonly number_messages: number;
        readonly repeated?: unknown;
        readonly uuid?: unknown;
    };
    readonly history: readonly Incoming[];
    readonly count: {
        readonly user_in_pipe: number;
    };
    readonly users: readonly {
        readonly user_id: number;
        readonly uuid?: unknown;
    }[];
    readonly userData: {
        readonly user_id: number;
        readonly user_data?: unknown;
    };
    /** Seconds since last online, 0 = online now, -1 = unknown. */
    readonly status: {
        readonly data: number;
    };
    readonly statistics: object;
}
export type Answer = Answers[Command["kind"]];
export type ConnectionState = 
/** `start` was not called yet. */
"idle"
/** A socket is being opened, or waits for serverInfo. */
 | "connecting"
/** serverInfo arrived. */
 | "open"
/** Between two attempts. */
 | "waiting"
/** The browser says that there is no network; an `online` event ends it. */
 | "offline"
/** The server refused for good (F15), or speaks something else, or there is no WebSocket at all; `restart` ends it. */
 | "refused"
/** `stop` was called. */
 | "stopped";
/** Everything about the connection that a page may want to show. */
export interface Status {
    readonly state: ConnectionState;
    /** undefined before the first serverInfo. */
    readonly authorized: boolean | undefined;
    /** `data` of the last serverInfo: the key the server recognised. */
    readonly realKey: string;
    /** This tab holds the connection; undefined before it is known. */
    readonly master: boolean | undefined;
    /** Product and version from serverInfo. */
    readonly server: string;
    /** Why it is not open, if there is a reason. */
    readonly error: CometError | undefined;
}
/** Before anything happened. */
export declare const IDLE: Status;
/** What a link tells its page. */
export interface LinkHandler {
    /**
     * A message for this tab. Called once per message and tab. For private messages the link acknowledges when what it
     * returns has settled, so a handler's promise holds the acknowledgement back (protocol-v5.md 4).
     */
    receive(message: Incoming): void | Promise<unknown>;
    /** Called whenever anything of the status changed, and after every serverInfo even if nothing did. */
    status(status: Status): void;
    /** Something went wrong that belongs to no request: a refused channel, a frame nobody understands. */
    error(error: CometError): void;
}
/** The connection, wherever it lives. */
export interface Link {
    /** Connects; while connected with other options, reconnects. With the same options: does nothing. */
    start(options: LinkOptions): void;
    /** Reconnects in any case, also from `refused` and `stopped`. */
    restart(options: LinkOptions): void;
    /** Closes; what is queued is rejected with `stopped`. */
    stop(): void;
    /** The complete set of channels this tab wants; what others want stays. */
    channels(names: readonly string[]): void;
    /** Sent now, or when the connection is open. Rejects with a CometError. An aborted request that has not left is not sent. */
    request(command: Command, signal?: AbortSignal): Promise<Answer>;
    readonly status: Status;
}
