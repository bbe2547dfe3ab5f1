<?php
// What the PHP programs share: the text and the lines they print. See README.md.
const TEXT = "Grüße 😀 \"quoted\" it's a \\ backslash\nand a line";
$failed = false;

function equal(string $name, mixed $got, mixed $expected): void
{
    global $failed;
    if ($got === $expected) {
        echo "ok $name\n";
    } else {
        $failed = true;
        echo "fail $name: got " . json_encode($got) . ', expected ' . json_encode($expected) . "\n";
    }
}

function skip(string $name, string $reason): void
{
    echo "skip $name: $reason\n";
}

function code_of(callable $action): mixed
{
    try {
        $action();
    } catch (PDOException $error) {
        return $error->errorInfo[1] ?? $error->getCode();
    } catch (mysqli_sql_exception $error) {
        return $error->getCode();
    }
    return null;
}

function done(): never
{
    global $failed;
    exit($failed ? 1 : 0);
}
