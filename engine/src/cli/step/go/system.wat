;; What a module of Go's compiler expects of a system (WASI preview 1), over what the engine offers to every component.
;;
;; A step has no system: the runtime gets a clock, random bytes, an empty environment and a standard error that becomes lines of the
;; log. Files and sockets answer that they are not there. It is written by hand because the usual adapter needs memory of its own,
;; and asks the module for it before the runtime of Go can answer. This one keeps what is answered through memory in bytes that Go's
;; linker leaves free in every module for the sake of browsers: from 4096 to 12288 (`wasmMinDataAddr`).
(module
  (import "env" "memory" (memory 0))
  (import "wasi:cli/exit@0.2.0" "exit-with-code" (func $exit (param i32)))
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $elapsed (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-instant" (func $at (param i64) (result i32)))
  (import "wasi:clocks/wall-clock@0.2.0" "now" (func $time (param i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $forget (param i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $print (param i32 i32 i32 i32)))
  (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))

  ;; The standard error, once it was asked for; one more than its number, so that nought is none.
  (global $opened (mut i32) (i32.const 0))

  ;; The numbers of errors are those of preview 1: 0 success, 8 bad file, 28 invalid, 52 not supported.

  ;; No arguments, no environment: both counts are nought, and nothing is copied.
  (func $nothing (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (func $no_copy (param i32 i32) (result i32) (i32.const 0))
  (export "args_sizes_get" (func $nothing))
  (export "environ_sizes_get" (func $nothing))
  (export "args_get" (func $no_copy))
  (export "environ_get" (func $no_copy))

  ;; 0 is the time of day, anything else the clock that only rises; in nanoseconds. That clock never says nought, as the host's does
  ;; in `describe`: the runtime takes it for broken then.
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $time i32) (result i32)
    (if (local.get $clock)
      (then (i64.store (local.get $time) (i64.add (call $elapsed) (i64.const 1))))
      (else
        (call $time (i32.const 4096))
        (i64.store (local.get $time)
          (i64.add
            (i64.mul (i64.load (i32.const 4096)) (i64.const 1000000000))
            (i64.extend_i32_u (i32.load (i32.const 4104)))))))
    (i32.const 0))

  (func (export "random_get") (param $to i32) (param $len i32) (result i32)
    (local $bits i64)
    (loop $more
      (if (i32.ge_u (local.get $len) (i32.const 8))
        (then
          (i64.store (local.get $to) (call $random))
          (local.set $to (i32.add (local.get $to) (i32.const 8)))
          (local.set $len (i32.sub (local.get $len) (i32.const 8)))
          (br $more))))
    (local.set $bits (call $random))
    (loop $byte
      (if (local.get $len)
        (then
          (i64.store8 (local.get $to) (local.get $bits))
          (local.set $bits (i64.shr_u (local.get $bits) (i64.const 8)))
          (local.set $to (i32.add (local.get $to) (i32.const 1)))
          (local.set $len (i32.sub (local.get $len) (i32.const 1)))
          (br $byte))))
    (i32.const 0))

  ;; Both standard streams become lines of the log; there are no other files.
  (func (export "fd_write") (param $file i32) (param $parts i32) (param $count i32) (param $written i32) (result i32)
    (local $sum i32)
    (if (i32.and (i32.ne (local.get $file) (i32.const 1)) (i32.ne (local.get $file) (i32.const 2)))
      (then (return (i32.const 8))))
    (loop $part
      (if (local.get $count)
        (then
          (call $say (i32.load (local.get $parts)) (i32.load offset=4 (local.get $parts)))
          (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $parts))))
          (local.set $parts (i32.add (local.get $parts) (i32.const 8)))
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br $part))))
    (i32.store (local.get $written) (local.get $sum))
    (i32.const 0))

  ;; At most 4096 bytes at a time, as the contract of streams says.
  (func $say (param $text i32) (param $len i32)
    (local $now i32)
    (if (i32.eqz (global.get $opened))
      (then (global.set $opened (i32.add (call $stderr) (i32.const 1)))))
    (loop $more
      (if (local.get $len)
        (then
          (local.set $now
            (select (i32.const 4096) (local.get $len) (i32.gt_u (local.get $len) (i32.const 4096))))
          (call $print (i32.sub (global.get $opened) (i32.const 1)) (local.get $text) (local.get $now) (i32.const 4096))
          (local.set $text (i32.add (local.get $text) (local.get $now)))
          (local.set $len (i32.sub (local.get $len) (local.get $now)))
          (br $more)))))

  ;; The scheduler waits for nothing but the clock, which it puts first when it does.
  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $count i32) (param $events i32) (result i32)
    (local $pollable i32)
    (if (i32.or (i32.eqz (local.get $count)) (i32.load8_u offset=8 (local.get $in)))
      (then (return (i32.const 28))))
    (local.set $pollable
      (if (result i32) (i32.and (i32.load16_u offset=40 (local.get $in)) (i32.const 1))
        (then (call $at (i64.load offset=24 (local.get $in))))
        (else (call $after (i64.load offset=24 (local.get $in))))))
    (call $block (local.get $pollable))
    (call $forget (local.get $pollable))
    (i64.store (local.get $out) (i64.load (local.get $in)))
    (i64.store offset=8 (local.get $out) (i64.const 0))
    (i32.store (local.get $events) (i32.const 1))
    (i32.const 0))

  (func (export "sched_yield") (result i32) (i32.const 0))
  (func (export "proc_exit") (param $code i32)
    (call $exit (local.get $code))
    (unreachable))

  ;; No file is open, and none can be opened.
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 8))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_sync") (param i32) (result i32) (i32.const 8))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 52))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 52))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (i32.const 52))
)
