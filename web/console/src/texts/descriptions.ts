/**
 * Descriptions of configs and jobs in Indonesian, by their keys. In English the console shows those of the database.
 */
const descriptions = {
  "loyalty.multiplier.silver": "Pengali poin untuk tingkat SILVER",
  "loyalty.multiplier.gold": "Pengali poin untuk tingkat GOLD",
  "loyalty.multiplier.platinum": "Pengali poin untuk tingkat PLATINUM",
  "loyalty.expiration_policy": "Kapan poin kedaluwarsa; NEVER: tidak pernah",
  "loyalty.rupiah_per_point": "Nilai pesanan (Rp) yang menjanjikan satu poin, sebelum pengali",
  "loyalty.point_value_rupiah": "Nilai (Rp) yang dibayar dengan satu poin",
  "order.minimum_threshold": "Nilai pesanan (Rp) yang mulai menghasilkan poin",
  "order.max_lines": "Jumlah produk berbeda dalam satu pesanan",
  "credit.over_limit_policy": "FLAG: pesanan di atas batas menunggu dilepaskan; BLOCK: ditolak",
  "credit.max_overdue_days": "Hari lewat jatuh tempo sampai tagihan dianggap melampaui batas kredit; 0: tidak pernah",
  "invoice.write_off_max": "Jumlah (Rp) yang boleh dihapusbukukan pada satu tagihan",
  "invoice.due_days.silver": "Tempo bayar mitra SILVER dalam hari",
  "invoice.due_days.gold": "Tempo bayar mitra GOLD dalam hari",
  "invoice.due_days.platinum": "Tempo bayar mitra PLATINUM dalam hari",
  "invoice.due_soon_days": "Hari sebelum jatuh tempo saat mitra diingatkan; 0: tidak diingatkan",
  "invoice.reminder_days":
    "Hari setelah jatuh tempo saat mitra diingatkan, agen wilayah mulai pengingat kedua, sebagai daftar paling banyak 20 bilangan bulat yang menaik; []: tidak diingatkan",
  "stock.sync_interval_minutes": "Menit antara dua pencocokan stok dengan ERP",
  "erp.kind":
    "ERP yang mengelola produk dan stok; none: kantor pusat. Adapter ERP hanya berjalan dengan HUB_ERP_KIND yang sama",
  "sla.reminder_hours": "Jam tanpa jawaban sampai sub-distributor diingatkan",
  "sla.manager_hours": "Jam tanpa jawaban sampai agen wilayah diberi tahu",
  "sla.escalation_hours": "Jam tanpa jawaban sampai kantor pusat diberi tahu",
  "sla.approval_hours": "Jam sebuah pesanan boleh menunggu kantor pusat sampai admin diingatkan",
  "sla.calendar":
    'Kapan waktu dihitung: "ALWAYS", atau {"days": [1..7], "from": "08:00", "until": "17:00", "holidays": ["2026-12-25"]} menurut zona wilayah',
  "outbox.max_attempts":
    "Pengiriman tanpa laporan sampai pesan dihentikan; juga percobaan gagal sampai kode yang ditunggu seseorang dikirim lewat email",
  "outbox.expiry_hours": "Jam pengiriman pesan dicoba, kecuali pesan itu kedaluwarsa lebih dulu",
  "outbox.unknown_wait_seconds":
    "Detik menunggu laporan penyedia atas pesan yang mungkin sudah terkirim, sebelum dikirim lagi",
  "inbox.stranger_texts_per_hour": "Pesan WhatsApp per jam yang diteruskan dari pengirim yang tidak dikenal",
  "auth.access_token_minutes": "Menit masa berlaku token akses",
  "auth.session_days": "Hari sampai sebuah sesi memerlukan kata sandi lagi",
  "auth.shadow_session_minutes": "Menit masa berlaku sesi pemesanan untuk mitra",
  "auth.link_minutes": "Menit masa berlaku tautan masuk",
  "auth.invitation_hours": "Jam masa berlaku kode undangan",
  "auth.reset_minutes": "Menit masa berlaku kode untuk kata sandi baru",
  "auth.max_failures": "Kegagalan masuk satu akun, atau satu perangkat yang dikenal, sampai harus menunggu",
  "auth.max_failures_per_address": "Kegagalan masuk dari satu alamat sampai harus menunggu",
  "auth.failure_window_minutes": "Menit kegagalan dihitung; juga waktu tunggu terlama",
  "auth.trusted_proxies":
    "Alamat dan jaringan proxy di depan gateway, sebagai daftar paling banyak 20 teks: alamat pemanggil adalah yang terakhir dalam X-Forwarded-For di luar daftar ini; []: header itu diabaikan",
  "cache.stock_seconds": "Detik cache boleh menyajikan satu pembacaan stok",
  "retention.message_days": "Hari pesan disimpan setelah selesai",
  "retention.webhook_days": "Hari isi webhook yang sudah diproses disimpan; id-nya tetap",
  "retention.session_days": "Hari sesi masuk disimpan setelah berakhir",
  "retention.audit_years": "Tahun jejak audit disimpan",

  "audit-flush": "Memindahkan perubahan yang tertampung ke jejak audit",
  "catalogue-store": "Menyimpan katalog setiap daftar harga saat berubah, agar tidak disusun pada setiap permintaan",
  "erp-watch": "Memberi tahu kantor pusat bila pertukaran dengan ERP terlambat atau terus gagal",
  "history-purge": "Menghapus riwayat pg_cron setelah satu minggu",
  "invoice-reminder": "Mengingatkan mitra dan agen tentang tagihan yang hampir atau sudah lewat jatuh tempo",
  "lease-reaper": "Menyelesaikan pesan yang tidak dilaporkan pada waktunya, dan memproses webhook yang tertinggal",
  "partition-maker": "Menyiapkan partisi bulanan jejak audit tiga bulan ke depan",
  "point-queue": "Membukukan poin dari tagihan yang lunas",
  retention: "Menghapus pesan, webhook, sesi, dan bulan jejak audit setelah masa simpannya",
  "session-purge": "Menghapus percobaan masuk, tautan, kode, dan percakapan lama",
  "sla-sweep": "Mengingatkan dan mengeskalasi bila sub-distributor tidak menjawab pada waktunya",
  "statistics-refresh": "Memperbarui statistik bulanan mitra",
  erp: "Pertukaran dengan ERP",
  standby: "Salinan database (standby)",
};

export default descriptions;
