/* Sends its second argument to the Unix socket at its first, and prints the answer. Static: it needs no library. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[4096];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (argc != 3) return 2;
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) { perror("connect"); return 3; }
    dprintf(fd, "%s\n", argv[2]);
    ssize_t got = read(fd, answer, sizeof answer);
    return got > 0 && write(1, answer, got) == got ? 0 : 4;
}
