/** `code` of the server's own errors is that of protocol-v5.md 2. */
export type ServerErrorCode = "unknown_command" | "not_supported" | "incomplete" | "bad_channel" | "bad_event" | "bad_marker" | "bad_user" | "bad_message_id" | "channel_refused" | "not_authorized" | "message_too_long" | "too_many_subscriptions" | "too_many_commands" | "too_many_failures" | "too_many_connections" | "quota_exceeded" | "store_unavailable" | "no_credentials" | "no_dev_id" | "bad_version" | "origin_refused" | "server_full";
export type ErrorCode = ServerErrorCode
/** The server sent something that is no frame of the protocol. */
 | "bad_frame"
/** The server does not speak version 5. */
 | "old_server"
/** A socket could not be opened: blocked, unreachable, not a WebSocket server. */
 | "unreachable"
/** There is no WebSocket in this environment, or its use is forbidden. */
 | "no_websocket"
/** The queue of commands that wait for a connection is full. */
 | "queue_full"
/** It waited longer than allowed. */
 | "timeout"
/** `stop` was called. */
 | "stopped"
/** The caller's AbortSignal fired. */
 | "aborted";
export declare class CometError extends Error {
    readonly code: ErrorCode;
    readonly name = "CometError";
    constructor(code: ErrorCode, message?: string);
}
