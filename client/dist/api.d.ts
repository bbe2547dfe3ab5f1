import type { CometError } from "./errors.js";
import type { ConnectionState, Status } from "./types.js";
export interface CometOptions {
    /**
     * Address of the server, or of all its nodes: `https://host`, `wss://host:8087`, `//host`, `host:8087`, each with or
     * without a path such as `/comet-server`. Default: the server this script came from, else that of the page.
     */
    readonly url?: string | readonly string[];
    /** Number of the user; absent: anonymous. */
    readonly userId?: string | number;
    /** His hash or token. */
    readonly userKey?: string;
    /** Tenant, default 0. */
    readonly devId?: string | number;
    /** Id of the browser, 1 to 32 characters of `A-Z a-z 0-9 _ -`. Default: a random one kept in localStorage. */
    readonly uuid?: string;
    /** Of several nodes connect to one only, chosen by user, or by browser if anonymous. Default false: to all. */
    readonly roundrobin?: boolean;
    /** Send the statistics command after connecting. Default false. */
    readonly statistics?: boolean;
    /** One connection for all tabs of the browser. Default true. */
    readonly shared?: boolean;
    /** Connect at once. Default true; false: `start()` does. */
    readonly autostart?: boolean;
    /** Closes everything when it fires. */
    readonly signal?: AbortSignal;
}
/** What `restart` may change. */
export type ConnectionOptions = Pick<CometOptions, "url" | "userId" | "userKey" | "devId" | "uuid" | "roundrobin" | "statistics">;
export interface Message<T = unknown> {
    /** The JSON value of the body, or its exact text if it is no JSON. `T` is what the page expects; nobody checks it. */
    readonly data: T;
    /** Channel; `msg` for private messages, `#channel` for reports. */
    readonly channel: string;
    /** "" if the sender gave none. */
    readonly event: string;
    /** Number of the sender, proven by the server; 0: back end, anonymous, or not told. */
    readonly userId: number;
    /** From `history`, not live. */
    readonly history: boolean;
    /** Private message that had waited for the user. */
    readonly fromQueue: boolean;
    /** Id of the message, the same for every reader and every delivery, if it has one. */
    readonly uuid: string | undefined;
    /** When the server accepted it, unix seconds; 0 for reports. */
    readonly time: number;
}
/** Somebody in a `track_*` channel. */
export interface Visitor {
    readonly userId: number;
    readonly uuid: string;
}
/** What became of a sent message. */
export interface Report {
    /** Connections it was queued to, the sender's own not counted. */
    readonly receivers: number;
    /** The server had accepted it already in an attempt whose answer was lost. */
    readonly repeated: boolean;
}
/** `data` of the messages of `#channel`: the reports of everything this page sends there. */
export interface SentReport {
    /** As sent. */
    readonly body: unknown;
    readonly event: string;
    /** undefined if it was refused. */
    readonly report: Report | undefined;
    readonly error: CometError | undefined;
}
/** When a user was last seen. */
export interface Presence {
    readonly online: boolean;
    /** Seconds since he left; 0 while online, undefined if he was never seen. */
    readonly secondsAgo: number | undefined;
}
export interface Cancellable {
    /** Ends it: a handler is removed, a request that has not left is not sent and rejects with `aborted`. */
    readonly signal?: AbortSignal;
}
export interface IterationOptions extends Cancellable {
    /**
     * Messages that may wait for the loop, default 1,000. One more ends the iteration with `queue_full` and is not
     * yielded; a private one counts as handled.
     */
    readonly limit?: number;
}
export interface Comet {
    /**
     * Calls `handler` for every message of `name`: "chat" (all events), "chat.say" (one event), "msg" and "msg.event"
     * (private messages), "#chat" (reports of what this page sends there), "" (everything). A private message counts as
     * delivered once all its handlers have settled. Returns what removes the handler. Malformed name: RangeError.
     */
    on<T = unknown>(name: string, handler: (message: Message<T>) => unknown, options?: Cancellable): () => void;
    /** The messages of `name` as an async iteration; ends with `signal`, `close` or the loop. */
    messages<T = unknown>(name: string, options?: IterationOptions): AsyncIterableIterator<Message<T>>;
    /** Sends `data` as JSON to `web_*`, `webauth_*` or, hiding the sender, `@web_*`. The channel may carry the event: "web_chat.say". */
    send(channel: string, event: string, data: unknown, options?: Cancellable): Promise<Report>;
    send(channel: string, data: unknown): Promise<Report>;
    /** The kept messages, oldest first. */
    history<T = unknown>(channel: string, options?: Cancellable): Promise<Message<T>[]>;
    /** Number of connections subscribed to a `web_*` or `track_*` channel. */
    count(channel: string, options?: Cancellable): Promise<number>;
    /** The connections subscribed to a `track_*` channel. */
    users(channel: string, options?: Cancellable): Promise<readonly Visitor[]>;
    /** The public text of a user, "" if he has none. */
    userData(userId: string | number, options?: Cancellable): Promise<string>;
    status(userId: string | number, options?: Cancellable): Promise<Presence>;
    readonly state: ConnectionState;
    /** The server recognised user and key; undefined before it said so. */
    readonly authorized: boolean | undefined;
    /** This tab holds the browser's connection; undefined before it is known. */
    readonly isMaster: boolean | undefined;
    /** Everything known about the connection, also why it is not open. */
    readonly connection: Status;
    /** Calls `handler` on every change of `connection`. */
    onState(handler: (connection: Status) => unknown, options?: Cancellable): () => void;
    /** Calls `handler` for errors that belong to no request: refused channels, frames nobody understands. */
    onError(handler: (error: CometError) => unknown, options?: Cancellable): () => void;
    start(): void;
    /** Reconnects; given options replace their former values, the others stay. */
    restart(options?: ConnectionOptions): void;
    /** Closes the connection; what waits rejects with `stopped`. Handlers stay for `restart`. */
    stop(): void;
    /** `stop`, and removes all handlers and iterations. */
    close(): void;
}
