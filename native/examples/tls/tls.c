/* TLS by OpenSSL's own functions: its sockets are in non-blocking mode, and where it wants to read or write a
 * goroutine waits for that. cc tls.c $(pkg-config --cflags --libs weft openssl)
 *
 * OpenSSL keeps its last errors for each thread, and a goroutine may go on in another one after a wait: so they are
 * cleared before each call, and asked for right after it. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

#define MS INT64_C(1000000)

/* What SSL_read and the like have returned: 1 to try again, after a wait; else 0, and an error. */
static int again(SSL *ssl, int result, int64_t timeout, int *error)
{
    int why = SSL_get_error(ssl, result);
    *error = result > 0 ? 0 : WEFT_EPIPE;
    if (result > 0 || (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE))
        return 0;
    *error = weft_fd_wait(SSL_get_fd(ssl), why == SSL_ERROR_WANT_READ ? WEFT_READABLE : WEFT_WRITABLE, timeout);
    return *error == 0;
}

static int handshake(SSL *ssl, int64_t timeout)
{
    int result, error;
    do {
        ERR_clear_error();
        result = SSL_do_handshake(ssl);
    } while (again(ssl, result, timeout, &error));
    return error;
}

static int tls_read(SSL *ssl, void *buffer, int count, int64_t timeout)
{
    int result, error;
    do {
        ERR_clear_error();
        result = SSL_read(ssl, buffer, count);
    } while (again(ssl, result, timeout, &error));
    return result > 0 ? result : error;
}

static int tls_write(SSL *ssl, const void *buffer, int count, int64_t timeout)
{
    int result, error;
    do {
        ERR_clear_error();
        result = SSL_write(ssl, buffer, count);
    } while (again(ssl, result, timeout, &error));
    return result > 0 ? result : error;
}

/* A certificate for this run, signed by itself. */
static int make_identity(SSL_CTX *ctx)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    int made = X509_sign(certificate, key, EVP_sha256()) > 0 && SSL_CTX_use_certificate(ctx, certificate) == 1 &&
               SSL_CTX_use_PrivateKey(ctx, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return made;
}

static void *serve(void *listener)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    weft_conn *conn;
    char text[64];
    int n = WEFT_EINVAL;
    if (make_identity(ctx) && (n = weft_accept(listener, &conn)) == 0) {
        SSL *ssl = SSL_new(ctx);
        SSL_set_fd(ssl, weft_conn_fd(conn));
        SSL_set_accept_state(ssl);
        if ((n = handshake(ssl, 5000 * MS)) == 0 && (n = tls_read(ssl, text, sizeof text, 5000 * MS)) > 0)
            n = tls_write(ssl, text, n, 5000 * MS);
        weft_sleep(200 * MS); /* Says no more, but stays. */
        SSL_free(ssl);
        weft_conn_close(conn);
    }
    SSL_CTX_free(ctx);
    return (void *)(intptr_t)n;
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_listener *listener;
    weft_conn *conn;
    weft_task *server;
    char address[32], text[64] = "";
    int n = weft_listen(&listener, "tcp", "127.0.0.1:0");
    snprintf(address, sizeof address, "127.0.0.1:%d", weft_listener_port(listener));
    if (n != 0 || weft_task_go(&server, NULL, serve, listener) != 0 || weft_dial(&conn, "tcp", address, 5000 * MS) != 0)
        return 1;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method()); /* A real client verifies: SSL_CTX_set_verify. */
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, weft_conn_fd(conn)); /* Nobody reads from the connection itself. */
    SSL_set_connect_state(ssl);
    if ((n = handshake(ssl, 5000 * MS)) == 0 && (n = tls_write(ssl, "hello", 5, 5000 * MS)) > 0)
        n = tls_read(ssl, text, sizeof text - 1, 5000 * MS);
    printf("%s: %d bytes: %s\n", SSL_get_version(ssl), n, text);
    printf("%s\n", weft_strerror(tls_read(ssl, text, sizeof text, 20 * MS)));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    weft_conn_close(conn);
    weft_task_join(server, NULL);
    return weft_listener_close(listener);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
