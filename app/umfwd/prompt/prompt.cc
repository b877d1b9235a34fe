// SPDX-License-Identifier: BSD-2-Clause
// prompt.cc - the command table as librte_cmdline sees it, and the loops that read lines for it.
//
// One kind of token serves every word: it asks the grammar whether the text fits and leaves a slot
// that points into the line. So the library, its completion and our sentences about errors all
// follow one rule. Two readers feed lines in: a terminal has the library's line editor, a pipe is
// cut at newlines and echoed, so that its output reads like a session.
#define ALLOW_EXPERIMENTAL_API  // rdline_new(), the same in 22.11 and 24.11
#include "app/umfwd/prompt/prompt.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <cmdline.h>
#include <cmdline_parse.h>
#include <cmdline_rdline.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "app/umfwd/gateway/sa_words.h"
#include "app/umfwd/prompt/grammar.h"
#include "app/umfwd/prompt/terminal.h"

namespace umbuf::fwd {
namespace {

constexpr const char* kPrompt = "umfwd> ";
constexpr size_t kMaxWords = 16;
constexpr size_t kMaxLine = 64 * 1024;
constexpr int kMaxDepth = 16;  // files that load files
using Clock = std::chrono::steady_clock;
constexpr auto kTick = std::chrono::milliseconds(100);

// What the tokens leave behind: word i of the line, inside the line.
struct Slot {
    const char* at;
    size_t length;
};
struct Slots {
    Slot slot[kMaxWords];
};
static_assert(sizeof(Slots) <= CMDLINE_PARSE_RESULT_BUFSIZE);

// ---- one token kind for every word of the grammar

struct Token {
    cmdline_token_hdr hdr;  // first: the library knows a token by its header
    const Word* word;
};

const Word& word_of(cmdline_parse_token_hdr_t* hdr) {
    return *reinterpret_cast<Token*>(hdr)->word;
}

// parse_word - returns the length of the text it took, or -1. `result` is null while completing.
int parse_word(cmdline_parse_token_hdr_t* hdr, const char* text, void* result, unsigned size) {
    size_t length = 0;
    while (word_of(hdr).takes_all() ? text[length] != '\n' && text[length] != '\0' : !cmdline_isendoftoken(text[length]))
        ++length;
    if (!word_of(hdr).fits({text, length})) return -1;
    if (result != nullptr) {
        UM_ASSERT(size >= sizeof(Slot));
        const Slot slot{text, length};
        memcpy(result, &slot, sizeof slot);
    }
    return static_cast<int>(length);
}

int count_choices(cmdline_parse_token_hdr_t* hdr) {
    return static_cast<int>(word_of(hdr).choices.size());
}

int copy_out(const std::string& text, char* to, unsigned size) {
    *fmt::format_to_n(to, size - 1, "{}", text).out = '\0';  // cut where the library's buffer ends
    return 0;
}

int choice_at(cmdline_parse_token_hdr_t* hdr, int i, char* to, unsigned size) {
    return copy_out(word_of(hdr).choices.at(static_cast<size_t>(i)), to, size);
}

int help_of_word(cmdline_parse_token_hdr_t* hdr, char* to, unsigned size) {
    return copy_out(word_of(hdr).text(), to, size);
}

cmdline_token_ops word_ops = {parse_word, count_choices, choice_at, help_of_word};

// ---- one instruction per shape of a command

struct Free {
    void operator()(void* p) const { std::free(p); }
};
using Instruction = std::unique_ptr<cmdline_parse_inst_t, Free>;  // ends in a flexible array

struct Entry {
    const Command* command;
    Shape shape;
    std::string help;
    std::vector<Token> tokens;
    Instruction instruction;
    std::function<void(const Slots&)> run;
};

void run_entry(void* result, cmdline*, void* entry) {
    static_cast<Entry*>(entry)->run(*static_cast<const Slots*>(result));
}

Instruction instruction_of(Entry& entry) {
    const size_t n = entry.tokens.size();
    const size_t bytes =
        sizeof(cmdline_parse_inst_t) + (n + 1) * sizeof(cmdline_parse_token_hdr_t*);
    Instruction made(static_cast<cmdline_parse_inst_t*>(std::calloc(1, bytes)));
    UM_ASSERT_MSG(made != nullptr, "no memory for the command table");
    made->f = run_entry;
    made->data = &entry;
    made->help_str = entry.help.c_str();
    for (size_t i = 0; i < n; ++i)
        made->tokens[i] = &entry.tokens[i].hdr;
    return made;
}

std::unique_ptr<Entry> compile(const Command& command, Shape shape) {
    UM_ASSERT_MSG(shape.size() <= kMaxWords, "grammar \"%s\": more than %zu words", command.grammar,
                  kMaxWords);
    auto entry = std::make_unique<Entry>();
    entry->command = &command;
    entry->shape = std::move(shape);
    entry->help = fmt::format("{}: {}", command.grammar, command.help);
    for (const Word& word : entry->shape) {
        const auto offset = static_cast<unsigned>(entry->tokens.size() * sizeof(Slot));
        entry->tokens.push_back({{&word_ops, offset}, &word});
    }
    entry->instruction = instruction_of(*entry);
    return entry;
}

Args args_of(const Shape& shape, const Slots& slots) {
    Args args;
    for (size_t i = 0; i < shape.size(); ++i) {
        const Word& word = shape[i];
        std::string typed(slots.slot[i].at, slots.slot[i].length);
        if (word.kind == WordKind::choice) args.words.push_back(typed);
        if (word.kind == WordKind::value || word.optional) {
            // A choice in brackets has no name of its own; word(i) tells it.
            if (word.kind != WordKind::choice)
                args.values.emplace_back(word.name, std::move(typed));
        }
    }
    return args;
}

const std::string* find_value(const Args& args, std::string_view name) {
    for (const auto& [key, typed] : args.values)
        if (key == name) return &typed;
    return nullptr;
}

bool readable(int fd) {
    pollfd one{fd, POLLIN, 0};
    return fd >= 0 && poll(&one, 1, 0) > 0;
}

// Reader - turns bytes of standard input into executed lines.
struct Reader {
    virtual ~Reader() = default;
    [[nodiscard]] virtual Status take(std::string_view bytes) = 0;
    [[nodiscard]] virtual Status end() = 0;  // no more bytes will come
};

}  // namespace

// ---- Args

const std::string& Args::text(std::string_view name) const {
    const std::string* typed = find_value(*this, name);
    UM_ASSERT_MSG(typed != nullptr, "no word <%.*s> in this command line",
                  static_cast<int>(name.size()), name.data());
    return *typed;
}

uint64_t Args::number(std::string_view name) const {
    uint64_t value = 0;
    UM_ASSERT_MSG(number_of(text(name), UINT64_MAX, value), "<%.*s> is no number",
                  static_cast<int>(name.size()), name.data());
    return value;
}

bool Args::is_all(std::string_view name) const {
    return text(name) == "all";
}

const std::string& Args::word(size_t i) const {
    UM_ASSERT_MSG(i < words.size(), "no choice number %zu in this command line", i);
    return words[i];
}

bool Args::given(std::string_view name) const {
    return find_value(*this, name) != nullptr;
}

// ---- Prompt

struct Prompt::Impl {
    Session& session;
    std::vector<std::unique_ptr<Entry>> entries;
    std::vector<cmdline_parse_inst_t*> context;  // the library's table, null at the end
    cmdline* parser = nullptr;
    Status status;        // of the last command that ran
    bool strict = false;  // in force for `load`
    int depth = 0;        // files open now
    int stop_fd = -1;     // what lines of a file are interrupted by, and what runs between them
    std::function<void()> tick;
    int heard_fd = -1;    // listen()
    std::function<void()> serve;
    Clock::time_point next_tick = Clock::now() + kTick;

    explicit Impl(Session& s) : session(s) {}
    ~Impl() { cmdline_free(parser); }

    void add(const Command& command);
    void ready();
    [[nodiscard]] Status execute(const std::string& line);
    [[nodiscard]] Status run_file(const std::string& path);
    [[nodiscard]] Status run_lines(std::istream& lines, const std::string& path);
    [[nodiscard]] Status read_input(Reader& reader);
    void attend(int stop, std::function<void()> periodic);
    void tick_when_due();
    [[nodiscard]] Error refusal(int why, const std::vector<std::string>& words) const;
    void print(const std::string& text) const {
        if (session.print) session.print(text);
    }
    void complain(const Error& error) const { print(error.text + "\n"); }
};

void Prompt::Impl::add(const Command& command) {
    for (Shape& shape : shapes_of(command.grammar)) {
        entries.push_back(compile(command, std::move(shape)));
        Entry& entry = *entries.back();
        entry.run = [this, &entry](const Slots& slots) {
            status = entry.command->run(session, args_of(entry.shape, slots));
        };
        context.push_back(entry.instruction.get());
    }
}

void Prompt::Impl::ready() {
    context.push_back(nullptr);
    // No descriptors: the library parses and completes, the readers below do the talking.
    parser = cmdline_new(context.data(), "", -1, -1);
    UM_ASSERT_MSG(parser != nullptr, "no memory for the command line");
}

// refusal - why the library did not run the line.
Error Prompt::Impl::refusal(int why, const std::vector<std::string>& words) const {
    if (why == CMDLINE_PARSE_AMBIGUOUS)
        return {EINVAL, fmt::format("{}: the line has two meanings in the command table; type more "
                                    "of it, or '?' to see them",
                                    fmt::join(words, " "))};
    std::vector<const Shape*> shapes;
    for (const auto& entry : entries)
        shapes.push_back(&entry->shape);
    return {why == CMDLINE_PARSE_NOMATCH ? ENOENT : EINVAL, misfit(shapes, words)};
}

// execute - a key in the line goes no further than the session.
Status Prompt::Impl::execute(const std::string& line) {
    std::string typed = line;
    Secret key;
    if (Status lifted = lift_key(typed, &key); !lifted) return lifted;
    session.key = std::move(key);
    const std::vector<std::string> words = words_of(typed);
    if (words.empty()) return {};
    // Joined again: the library cuts at the same places then, whatever blanks were typed.
    const std::string whole = fmt::format("{}\n", fmt::join(words, " "));
    const int parsed = cmdline_parse(parser, whole.c_str());
    session.key.clear();
    if (parsed < 0) return refusal(parsed, words);
    return std::exchange(status, {});
}

Status Prompt::Impl::run_lines(std::istream& lines, const std::string& path) {
    std::string line;
    for (size_t number = 1; !session.quit && std::getline(lines, line); ++number) {
        if (readable(stop_fd)) return {};  // it stays readable: whoever called us sees it, too
        const Status done = execute(line);
        tick_when_due();
        if (done) continue;
        const Error error{done.error().code,
                          fmt::format("{}:{}: {}", path, number, done.error().text)};
        if (strict) return error;
        complain(error);
    }
    if (lines.bad())
        return Error{EIO, fmt::format("{}: reading failed: {}", path, strerror(errno))};
    return {};
}

Status Prompt::Impl::run_file(const std::string& path) {
    if (depth == kMaxDepth)
        return Error{
            ELOOP, fmt::format("{}: {} files load each other already; does one load itself?", path,
                               kMaxDepth)};
    errno = 0;
    std::ifstream lines(path);
    if (!lines)
        return Error{errno != 0 ? errno : ENOENT,
                     fmt::format("{}: cannot be opened: {}", path, strerror(errno))};
    lines.peek();  // a directory opens, and fails here
    if (lines.bad()) return Error{EISDIR, fmt::format("{}: is no file of commands", path)};
    lines.clear();
    ++depth;
    Status done = run_lines(lines, path);
    --depth;
    return done;
}

void Prompt::Impl::attend(int stop, std::function<void()> periodic) {
    stop_fd = stop;
    tick = std::move(periodic);
    next_tick = Clock::now() + kTick;
}

void Prompt::Impl::tick_when_due() {
    if (Clock::now() < next_tick) return;
    if (tick) tick();
    next_tick = Clock::now() + kTick;
}

Status Prompt::Impl::read_input(Reader& reader) {
    while (!session.quit) {
        pollfd fds[3] = {{STDIN_FILENO, POLLIN, 0}, {stop_fd, POLLIN, 0}, {heard_fd, POLLIN, 0}};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_tick - Clock::now());
        const int events = poll(fds, 3, std::max(0, static_cast<int>(left.count())));
        if (events < 0 && errno != EINTR)
            return Error{errno, fmt::format("standard input: poll failed: {}", strerror(errno))};
        if (events > 0 && fds[1].revents != 0) return {};
        if (events > 0 && fds[2].revents != 0) serve();
        tick_when_due();
        if (events <= 0 || fds[0].revents == 0) continue;
        char bytes[1024];
        const ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return reader.end();  // closed, or the terminal is gone: both end in order
        Status done = reader.take({bytes, static_cast<size_t>(n)});
        if (!done) return done;
    }
    return {};
}

namespace {

// TerminalReader - the library's line editor: history, completion, '?'.
class TerminalReader final : public Reader {
  public:
    using Execute = std::function<void(const std::string&)>;
    TerminalReader(cmdline* parser, Session& session, Execute execute)
        : parser_(parser), session_(session), execute_(std::move(execute)) {
        editor_ = rdline_new(write_char, validate, complete, this);
        UM_ASSERT_MSG(editor_ != nullptr, "no memory for the line editor");
        rdline_newline(editor_, kPrompt);
        flush();
    }
    ~TerminalReader() override { rdline_free(editor_); }

    Status take(std::string_view bytes) override {
        for (const char c : bytes) {
            const int did = rdline_char_in(editor_, c);
            if (did == RDLINE_RES_EOF) return end();
            if (session_.quit) break;
            if (did == RDLINE_RES_VALIDATED) next_line();
        }
        flush();
        return {};
    }
    Status end() override {
        echo_ += "\n";
        flush();
        session_.quit = true;
        return {};
    }

  private:
    static TerminalReader& self(rdline* editor) {
        return *static_cast<TerminalReader*>(rdline_get_opaque(editor));
    }
    static int write_char(rdline* editor, char c) {
        std::string& echo = self(editor).echo_;
        if (c == '\n' && echo.ends_with('\r')) echo.pop_back();  // the terminal adds its own
        echo += c;
        return 1;
    }
    static void validate(rdline* editor, const char* line, unsigned) {
        self(editor).flush();  // what was typed comes before what it prints
        self(editor).line_ = line;
        self(editor).execute_(line);
    }
    static int complete(rdline* editor, const char* line, char* to, unsigned size, int* state) {
        return cmdline_complete(self(editor).parser_, line, state, to, size);
    }
    void next_line() {
        line_.erase(line_.find_last_not_of("\r\n") + 1);
        hide_key(line_);
        if (!line_.empty()) rdline_add_history(editor_, line_.c_str());
        rdline_newline(editor_, kPrompt);
    }
    void flush() {
        if (session_.print && !echo_.empty()) session_.print(echo_);
        echo_.clear();
    }

    cmdline* parser_;
    Session& session_;
    Execute execute_;
    rdline* editor_ = nullptr;
    std::string echo_, line_;
};

// PipeReader - one command per line, echoed after the prompt as a terminal would show it.
class PipeReader final : public Reader {
  public:
    using Execute = std::function<Status(const std::string&, size_t number)>;
    PipeReader(Session& session, int stop_fd, Execute execute)
        : session_(session), stop_fd_(stop_fd), execute_(std::move(execute)) {
        say(kPrompt);
    }

    Status take(std::string_view bytes) override {
        pending_ += bytes;
        size_t end;
        while (!session_.quit && (end = pending_.find('\n')) != pending_.npos) {
            if (readable(stop_fd_)) return {};
            std::string line = pending_.substr(0, end);
            wipe(pending_.data(), end);
            pending_.erase(0, end + 1);
            const Status done = run(std::move(line));
            if (!done) return done;
        }
        if (pending_.size() > kMaxLine)
            return Error{E2BIG, fmt::format("standard input, line {}: longer than {} bytes",
                                            number_ + 1, kMaxLine)};
        return {};
    }
    Status end() override {
        Status last = pending_.empty() ? Status() : run(std::exchange(pending_, {}));
        if (!session_.quit) say("\n");
        return last;
    }

  private:
    Status run(std::string line) {
        std::string shown = line;
        hide_key(shown);
        say(shown + "\n");
        Status done = execute_(line, ++number_);
        wipe(line.data(), line.size());
        if (done && !session_.quit) say(kPrompt);
        return done;
    }
    void say(const std::string& text) {
        if (session_.print) session_.print(text);
    }

    Session& session_;
    int stop_fd_;
    Execute execute_;
    std::string pending_;
    size_t number_ = 0;
};

}  // namespace

Prompt::Prompt(std::span<const Command> table, Session& session)
    : impl_(std::make_unique<Impl>(session)) {
    for (const Command& command : table)
        impl_->add(command);
    impl_->ready();
    session.load = [this](const std::string& path) { return impl_->run_file(path); };
}

Prompt::~Prompt() {
    impl_->session.load = nullptr;
}

Status Prompt::execute(const std::string& line) {
    return impl_->execute(line);
}

void Prompt::listen(int fd, std::function<void()> serve) {
    impl_->heard_fd = fd;
    impl_->serve = std::move(serve);
}

Status Prompt::run_file(const std::string& path, bool strict, int stop_fd,
                        std::function<void()> tick) {
    impl_->attend(stop_fd, std::move(tick));
    impl_->strict = strict;
    return impl_->run_file(path);
}

Status Prompt::interact(int stop_fd, const std::function<void()>& tick, bool strict) {
    impl_->attend(stop_fd, tick);
    if (isatty(STDIN_FILENO) == 1) {
        impl_->strict = false;  // a person who mistypes does not want to lose the forwarder
        const Terminal raw(STDIN_FILENO);
        TerminalReader reader(impl_->parser, impl_->session, [this](const std::string& line) {
            const Status done = impl_->execute(line);
            if (!done) impl_->complain(done.error());
        });
        return impl_->read_input(reader);
    }
    impl_->strict = strict;
    PipeReader reader(impl_->session, stop_fd, [this](const std::string& line, size_t number) {
        Status done = impl_->execute(line);
        if (done) return done;
        if (!impl_->strict) {
            impl_->complain(done.error());
            return Status();
        }
        return Status(Error{done.error().code,
                            fmt::format("standard input, line {}: {}", number, done.error().text)});
    });
    return impl_->read_input(reader);
}

}  // namespace umbuf::fwd
